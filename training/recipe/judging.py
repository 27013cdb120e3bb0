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
    """What a candidate has to show before it takes the place of the version that answers now."""

    mode: Literal["enforce", "record"] = "enforce"
    require: Literal["not_worse", "proven", "better"] = "proven"
    """What is asked against the current version: ``proven`` asks for proof that the candidate is not worse by more than
    the margin, ``better`` for proof that it is better; ``not_worse`` rejects only what is probably worse by more than
    the margin, and publishes what is not proven as insufficient. Proof is a one-sided 95 % bound on the same test."""
    margin: float = Field(default=0.02, ge=0, le=1)
    """In the headline metric; of an absolute error, a share of the error of always the same answer."""


class PublishChoice(Strict):
    """How a head is published."""

    form: Literal["complete", "thin"] = "complete"
    """``complete``: a SavedModel that any TensorFlow can load. ``thin``: its numbers alone, some 60 KB, which a server
    answers by through the base; ``graft export`` makes a complete one of it. Only a linear head on a base as it was
    published can be thin; anything else is complete."""
