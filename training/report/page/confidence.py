"""Whether the model's probabilities mean what they say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from training.evaluation.intervals import wilson
from training.report.figures.reliability import reliability
from training.report.notation import figure as number
from training.report.notation import share
from training.report.page.markup import definitions, figure, panels, paragraph, section

READING = "on the dashed line it is as sure as it is right, below it too sure; bars count items"


def confidence(report: Mapping[str, Any]) -> str:
    """The reliability diagram, the calibration error beside its null value, and what the temperature did."""
    figures = report.get("probabilities")
    if not figures:
        return ""
    said = {
        "log loss (NLL)": number(figures["log_loss"]),
        "Brier score": share(figures["brier"]),
        "calibration error (ECE)": share(figures["calibration_error"]),
    }
    null = figures.get("calibration_error_null")
    if null:
        said["ECE of honest probabilities"] = f"{null['mean']:.3f} on average, {null['high']:.3f} at most in 95 of 100"
    bins = [_with_interval(entry) for entry in report.get("reliability") or ()]
    drawn = figure("confidence and truth", reliability("reliability diagram", bins), READING) if bins else ""
    return section(
        "How sure it is", panels(drawn), paragraph(_verdict(figures)), definitions({**said, **_temperature(report)})
    )


def _with_interval(entry: Mapping[str, Any]) -> dict[str, Any]:
    right = entry.get("share", entry.get("accuracy", 0.0))
    interval = wilson(round(right * entry["items"]), entry["items"])
    return {**entry, "accuracy": right, "low": interval.low, "high": interval.high}


def _verdict(figures: Mapping[str, Any]) -> str:
    null = figures.get("calibration_error_null")
    if not null:
        return ""
    if figures["calibration_error"] <= null["high"]:
        return "Nothing proves that its confidence is wrong: honest probabilities show this much error on so few items."
    return "Its confidence is not to be taken at its word: the error is more than chance makes."


def _temperature(report: Mapping[str, Any]) -> dict[str, str]:
    found = report.get("calibration")
    if not found:
        return {}
    before, after = found.get("log_loss_before"), found.get("log_loss_after")
    said = {"temperature": f"{found['temperature']:.3g} ({found['reason']})"}
    if before is not None and after is not None:
        said["NLL before and after"] = f"{number(before)} and {number(after)}, on items the head was not fitted on"
    return said
