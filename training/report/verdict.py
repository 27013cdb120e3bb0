"""The sentence that sums a run up, and what its paired differences prove."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from training.report.arms import NAMES, SIMPLER, headline_of, interval_name

BESIDE = ("probe", "linear_raw", "scratch", "random_features", "majority", "current")
"""Arms that the sentence names, in this order."""
BETTER: Mapping[str, str] = {
    "linear_raw": "the linear model on raw input is better",
    "scratch": "training from scratch is better",
    "random_features": "a base with random weights is better",
}


def comparison(difference: Mapping[str, Any], arm: str = "linear_raw") -> str:
    """What a paired difference against a simpler answerer proves. A difference is greater when this model is better."""
    if difference["interval"]["low"] > 0:
        return "transfer helps"
    if difference["interval"]["high"] < 0:
        return BETTER[arm]
    return "no reliable difference"


def transfer(differences: Mapping[str, Mapping[str, Any]]) -> str | None:
    """Whether the base was of use, held against everything that does without it; None where nothing was compared."""
    proven = {arm: comparison(differences[arm], arm) for arm in SIMPLER if arm in differences}
    if not proven:
        return None
    worse = [words for words in proven.values() if words in BETTER.values()]
    if worse:
        return worse[0]
    level = [NAMES[arm] for arm, words in proven.items() if words == "no reliable difference"]
    if not level:
        return "transfer helps"
    if len(level) == len(proven):
        return "no reliable difference"
    return f"no reliable difference to {' and '.join(level)}"


def headline(model: str, evaluated: Mapping[str, Any]) -> str:
    """The result in one sentence."""
    arms = evaluated["arms"]
    beside = [f"{_short(arm)} {_value(arms[arm])}" for arm in BESIDE if arm in arms]
    verdict = transfer(evaluated["differences"])
    own = _own(model, arms["candidate"], interval_name(evaluated))
    return ", ".join([own, *beside]) + (f": {verdict}." if verdict else ".")


def _own(model: str, arm: Mapping[str, Any], interval: str) -> str:
    items = f"{arm['items']} sealed items"
    if "accuracy" in arm:
        return (
            f"{model} answers {arm['accuracy']:.3f} of {items} right "
            f"({interval} {arm['accuracy_low']:.2f}-{arm['accuracy_high']:.2f})"
        )
    own = headline_of(arm)
    around = own.metric.interval(own.low, own.high)
    said = f"({interval} {around})" if around else "(no interval)"
    if own.metric.key == "mae":
        return f"{model} is off by {own.metric.words(own.value)} on average on {items} {said}"
    return f"{model} reaches {own.metric.words(own.value)} {own.metric.name} on {items} {said}"


def _value(arm: Mapping[str, Any]) -> str:
    if "accuracy" in arm:
        return f"{arm['accuracy']:.2f}"
    own = headline_of(arm)
    return f"{own.value:.2f}" if own.metric.share else own.metric.words(own.value)


def _short(arm: str) -> str:
    return {"majority": "majority", "probe": "head alone", "random_features": "random weights"}.get(arm, NAMES[arm])
