"""When fine-tuning is tried, and when what it made is kept: pure rules, each with its reason in words."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LEAST_ITEMS_A_CLASS = 20
BACKWARD = 3.0
"""A step of training costs about so many times what inference costs."""
UNSURE = 1.0
"""Standard errors by which it has to be better to be kept."""


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What the decision to try depends on."""

    enabled: str
    has_layers: bool
    """Whether the base comes as a Keras model, whose layers can be trained."""
    fewest: int
    """Training items of the smallest class; of regression, a twentieth of all items."""
    seconds: float
    """What it is expected to take."""
    budget: float
    """Seconds that ``auto`` may take."""
    probe_scores: NDArray[np.float64]
    """[n] of the probe on the validation items, where greater is better."""
    perfect_scores: NDArray[np.float64]
    """[n] of perfect answers."""


@dataclass(frozen=True, slots=True)
class Decision:
    """Yes or no, and why."""

    yes: bool
    reason: str


def is_tried(at: Circumstances) -> Decision:
    """Whether to fine-tune at all."""
    if at.enabled == "never":
        return Decision(False, "the recipe says never")
    if not at.has_layers:
        return Decision(False, "the base has no Keras model, so its layers cannot be trained")
    if len(at.probe_scores) == 0:
        return Decision(False, "there are too few items to hold some back and watch them")
    if at.enabled == "always":
        return Decision(True, "the recipe says always")
    if at.fewest < LEAST_ITEMS_A_CLASS:
        return Decision(
            False, f"the smallest class has {at.fewest} items to train on; {LEAST_ITEMS_A_CLASS} are needed"
        )
    if at.seconds > at.budget:
        return Decision(
            False,
            f"it would take about {at.seconds:.0f} s, and auto allows {at.budget:.0f} s: "
            "say finetune.enabled always, or give it more finetune.auto_seconds or fewer finetune.steps",
        )
    room = at.perfect_scores - at.probe_scores
    if not _better(room).yes:
        count = f"{int((room > 0).sum())} of {len(room)}"
        return Decision(False, f"the probe can be bettered on {count} validation items, too few to prove it")
    return Decision(True, "there is enough data, time, and room above the probe")


def is_kept(enabled: str, changed: bool, tuned: NDArray[np.float64], probe: NDArray[np.float64]) -> Decision:
    """Whether the fine-tuned model takes the probe's place, given both one's scores [n] on the validation items.

    ``auto`` asks for a gain of more than a standard error; ``always`` keeps it unless it is worse by more than that.

    Args:
        changed: whether it is another model at all; when no state was better than the start, it is the probe.
    """
    if not changed:
        return Decision(False, "no state on the way was better than the probe, from which it started")
    if enabled == "always":
        loss = _better(probe - tuned)
        return Decision(not loss.yes, f"the probe over it: {loss.reason}" if loss.yes else "the recipe says always")
    return _better(tuned - probe)


def _better(gaps: NDArray[np.float64]) -> Decision:
    """Whether the mean of paired differences is above its standard error."""
    if len(gaps) < 2:
        return Decision(False, f"{len(gaps)} validation items prove nothing")
    gain, error = float(gaps.mean()), float(gaps.std(ddof=1) / np.sqrt(len(gaps)))
    # By more than rounding: one item put right is exactly one standard error.
    better = gain > UNSURE * error * (1 + 1e-9)
    word = "above" if better else "not above"
    return Decision(better, f"a validation gain of {gain:+.4f}, {word} its standard error of {error:.4f}")


def expected_seconds(steps: int, batch: int, tries: int, seconds_an_item: float, share: float) -> float:
    """What fine-tuning will take, from what one item took in inference.

    Args:
        share: of the base that gradients pass through, 0..1.
    """
    return tries * steps * batch * seconds_an_item * (1.0 + (BACKWARD - 1.0) * share)
