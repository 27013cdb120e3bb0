"""What a training's curve says went wrong, or right, by name: so that nobody has to guess why a loss is stuck.

Each diagnosis has a code, a verdict in words, the figures that led to it, and what to do.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from training.report.arms import TRAININGS, metric_of
from training.report.notation import figure, plural

STUCK = 0.02
"""A loss that fell by less than this share of its start has not moved."""
STILL_FALLING = 0.05
"""Of the whole fall, in the last quarter of the steps: more steps would have helped."""
RISEN = 0.25
"""A loss this far above its lowest, as a share of its start, has run away."""
FORGOT = 0.05
"""A validation score that ended this far below its best was trained for too long."""
LARGE_INPUT = 30.0
"""Inputs of this size and more, which nothing scales, make gradients useless."""
MANY_DEAD = 0.3
WIDE_GAP, WIDE_RATIO = 0.10, 1.5
"""Between training and held-out items: of a share the difference, of an error the ratio."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """One finding. ``tone``: ``good``, ``unsure`` or ``bad``."""

    code: str
    tone: str
    verdict: str
    evidence: str
    advice: str = ""


def diagnose(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """All findings on a report's histories, inputs, features and scores."""
    found: list[Diagnosis] = []
    inputs = document.get("inputs")
    for name, history in (document.get("histories") or {}).items():
        found += of_history(TRAININGS.get(name, name), history, inputs)
    found += of_units(document.get("units"))
    found += of_gap(document.get("scores"))
    return [asdict(diagnosis) for diagnosis in found]


def of_history(name: str, history: Mapping[str, Any], inputs: Mapping[str, Any] | None) -> list[Diagnosis]:
    """What one training's looks say, of its loss and then of its validation score."""
    losses = [look["loss"] for look in history["looks"] if look["step"] > 0]
    if any(loss is None or not math.isfinite(loss) for loss in losses):
        evidence = f"the loss of {name} was not a number at some look"
        return [Diagnosis("not_finite", "bad", "the loss left the numbers", evidence, "Lower the learning rate.")]
    found = []
    if len(losses) >= 4:
        found.append(_of_losses(name, losses, inputs))
    scores = [look["score"] for look in history["looks"] if look["score"] is not None]
    if len(scores) >= 4:
        best, last = max(scores), scores[-1]
        if best - last > FORGOT * max(abs(best), 1e-12):
            evidence = f"the validation score of {name} was {figure(best)} at its best and {figure(last)} at the end"
            found.append(
                Diagnosis("trained_too_long", "unsure", "it got worse again", evidence, "The best state was kept.")
            )
    return found


def of_units(units: Mapping[str, Any] | None) -> list[Diagnosis]:
    """Whether features are dead: the same for every training item."""
    if not units or units["dead"] / units["width"] < MANY_DEAD:
        return []
    evidence = f"{units['dead']} of {plural(units['width'], 'feature')} at {units['cut']} never change on this data"
    advice = "Check the scale of the input, or cut the base elsewhere."
    return [Diagnosis("dead_units", "unsure", "many features are dead", evidence, advice)]


def of_gap(scores: Mapping[str, Any] | None) -> list[Diagnosis]:
    """Whether the head knows its training items much better than new ones."""
    if not scores or scores.get("train") is None or scores.get("held_out") is None:
        return []
    train, held_out, metric = scores["train"], scores["held_out"], metric_of(scores["metric"])
    said = f"{metric.words(train)} on its training items, {metric.words(held_out)} on held-out ones ({metric.name})"
    wide = train - held_out > WIDE_GAP if metric.greater_is_better else held_out > train * WIDE_RATIO
    if wide:
        advice = "More data, a stronger l2, or augmentation would narrow the gap."
        return [Diagnosis("overfits", "unsure", "it knows its training items by heart", said, advice)]
    return [Diagnosis("generalises", "good", "new items do about as well as training items", said)]


def _of_losses(name: str, losses: Sequence[float], inputs: Mapping[str, Any] | None) -> Diagnosis:
    first, last, least = losses[0], losses[-1], min(losses)
    evidence = f"the loss of {name} went from {figure(first)} to {figure(last)}, at its least {figure(least)}"
    if last > first * (1 + STUCK) or last - least > RISEN * first:
        return Diagnosis("diverges", "bad", "the learning rate is too large", evidence, "Divide it by ten.")
    if first - least < STUCK * abs(first):
        if inputs and inputs["largest"] >= LARGE_INPUT and not inputs["scaled"]:
            scale = f"; inputs reach {figure(inputs['largest'])} and nothing scales them"
            return Diagnosis(
                "input_scale", "bad", "stuck: the input's scale", evidence + scale, "Standardise the input."
            )
        advice = "Raise the learning rate tenfold; if it stays stuck, the labels have nothing to do with the input."
        return Diagnosis("plateau", "bad", "stuck: the loss never fell", evidence, advice)
    quarter = losses[-max(2, len(losses) // 4) :]
    if quarter[0] - quarter[-1] > STILL_FALLING * (first - least):
        return Diagnosis(
            "still_falling", "unsure", "not finished: it was still falling", evidence, "Give it more steps."
        )
    return Diagnosis("learned", "good", "it learned, and settled", evidence)
