"""How the result is judged: beside what, with which certainty, and when it is good enough."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from training.recipe.strict import Strict

Baseline = Literal["majority", "linear_raw", "random_features", "scratch", "current"]


class EvaluateChoice(Strict):
    """How sure the figures are made."""

    bootstrap: int = Field(default=2_000, ge=100, le=100_000)
    confidence: float = Field(default=0.95, ge=0.5, lt=1)


class CalibrateChoice(Strict):
    """``auto`` divides the logits by a temperature when that is proven to help."""

    method: Literal["auto", "none", "temperature"] = "auto"


class OodChoice(Strict):
    """How strange an item is: the distance to its nearest training features; the threshold is a quantile of it."""

    method: Literal["knn", "none"] = "knn"
    quantile: float = Field(default=0.95, gt=0.5, lt=1)


class GateChoice(Strict):
    """Whether a candidate that is proven worse is kept from being published, and how much worse is worse."""

    mode: Literal["enforce", "record"] = "enforce"
    require: Literal["not_worse", "proven", "better"] = "not_worse"
    """What is asked against the current version: ``not_worse`` rejects what is probably worse by more than the margin,
    and calls what is not proven to be within it insufficient; ``proven`` rejects that too; ``better`` rejects what is
    not proven to be better. Proven means by a one-sided 95 % bound on the same test items."""
    margin: float = Field(default=0.02, ge=0, le=1)
    """In the headline metric; of an absolute error, a share of the error of always the same answer."""
