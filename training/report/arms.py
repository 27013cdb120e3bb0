"""What the arms of a test are called, and what is measured on them, in words and figures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from training.evaluation.intervals import CONFIDENCE
from training.report.notation import figure, share, signed

NAMES: Mapping[str, str] = {
    "candidate": "this model",
    "probe": "head alone, base untouched",
    "majority": "always the same answer",
    "linear_raw": "linear model on raw input",
    "random_features": "same base, random weights",
    "scratch": "trained from scratch",
    "current": "current version",
}
TRAININGS: Mapping[str, str] = {
    "fit": "training",
    "head": "head with hidden layers",
    "finetune": "fine-tuning",
    "scratch": "training from scratch",
}
SIMPLER = ("linear_raw", "scratch", "random_features")
"""Arms that owe nothing to the base: what transfer has to beat."""


@dataclass(frozen=True, slots=True)
class Metric:
    """A figure by which models are compared. ``share``: it lies in 0..1 and is written to a thousandth."""

    key: str
    name: str
    greater_is_better: bool = True
    share: bool = True

    def words(self, value: float | None) -> str:
        """A value of it."""
        return share(value) if self.share else figure(value)

    def interval(self, low: float | None, high: float | None, *, sign: bool = False) -> str:
        """An interval of it; nothing where there is none."""
        if low is None or high is None:
            return ""
        ends = (self.words(low), self.words(high))
        return " to ".join(map(signed, ends) if sign else ends)


METRICS = {
    metric.key: metric
    for metric in (
        Metric("accuracy", "accuracy"),
        Metric("balanced_accuracy", "balanced accuracy"),
        Metric("macro_f1", "macro-F1"),
        Metric("micro_f1", "micro-F1"),
        Metric("subset_accuracy", "all labels right"),
        Metric("map", "mean average precision"),
        Metric("auc", "area under ROC"),
        Metric("average_precision", "average precision"),
        Metric("mae", "mean absolute error", greater_is_better=False, share=False),
        Metric("rmse", "root mean squared error", greater_is_better=False, share=False),
        Metric("r2", "R²"),
        Metric("log_loss", "log loss", greater_is_better=False, share=False),
        Metric("brier", "Brier score", greater_is_better=False),
        Metric("calibration_error", "calibration error (ECE)", greater_is_better=False),
    )
}


@dataclass(frozen=True, slots=True)
class Measured:
    """One figure of one arm with its interval."""

    metric: Metric
    value: float
    low: float | None
    high: float | None

    @property
    def words(self) -> str:
        """The value, and its interval in brackets."""
        around = self.metric.interval(self.low, self.high)
        return self.metric.words(self.value) + (f" ({around})" if around else "")


def interval_name(report: Mapping[str, Any]) -> str:
    """What the report's intervals are called."""
    return f"{100 * report.get('confidence', CONFIDENCE):g} % interval"


def name_of(arm: str) -> str:
    """What people call an arm."""
    return NAMES.get(arm, arm.replace("_", " "))


def metric_of(key: str) -> Metric:
    """What is known of a metric; an unknown one is a number that is better when greater."""
    if key not in METRICS and key.endswith(("accuracy", "f1", "coverage")):
        return Metric(key, key.replace("_", " ").replace("top ", "top-"))
    return METRICS.get(key, Metric(key, key.replace("_", " "), share=False))


def headline_of(arm: Mapping[str, Any]) -> Measured:
    """The figure an arm is judged by."""
    key = arm.get("metric", "accuracy")
    if "value" in arm:
        return Measured(metric_of(key), float(arm["value"]), arm.get("low"), arm.get("high"))
    return measured(arm, key)


def measured(arm: Mapping[str, Any], key: str) -> Measured:
    """One of an arm's figures, by the name of its key."""
    return Measured(metric_of(key), float(arm[key]), arm.get(f"{key}_low"), arm.get(f"{key}_high"))
