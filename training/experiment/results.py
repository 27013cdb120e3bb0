"""The results of an experiment as one value: everything that was computed, every raw score, and what it was run on."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

from training.experiment.arms import NetworkArm
from training.experiment.reading import digest
from training.experiment.schema import EXPERIMENT_VERSION, Experiment
from training.experiment.summarising import Run, studies

LIBRARIES = ("tensorflow", "keras", "numpy", "scipy")


def results(experiment: Experiment, runs: Sequence[Run], seconds: float) -> dict[str, Any]:
    """Plain values, fit for JSON. ``seconds``: of this call; a resumed experiment took longer in all."""
    found = studies(experiment, runs)
    return {
        "apiVersion": EXPERIMENT_VERSION,
        "name": experiment.name,
        "question": experiment.question,
        "verdict": _verdict(found),
        "cautions": cautions(experiment, runs),
        "studies": found,
        "seconds": round(seconds, 1),
        "peak_rss_mb": {"first": runs[0]["peak_rss_mb"], "last": runs[-1]["peak_rss_mb"]},
        "configurations_compared": len(experiment.arms),
        "experiment": experiment.model_dump(mode="json"),
        "digest": digest(experiment),
        "machine": {"system": platform.system(), "processor": platform.machine(), "cores": os.cpu_count()},
        "libraries": {name: version(name) for name in LIBRARIES},
        "runs": list(runs),
    }


def cautions(experiment: Experiment, runs: Sequence[Run]) -> list[str]:
    """What a reader must know to read the figures rightly."""
    said = list(experiment.notes)
    if not experiment.target.divide.valid:
        said.append(
            "validation = test: curves and times to a level are of the test items. No arm chose anything by them: "
            "lengths and rates are fixed, cuts and penalties are chosen on training items"
        )
    common = _budget(experiment.stages)
    networks = [arm for arm in experiment.arms if isinstance(arm, NetworkArm)]
    own = [arm.name for arm in networks if arm.stages and _budget(arm.stages) != common]
    if own:
        said.append(
            f"arms with a budget of their own: {', '.join(own)}; all others share optimizer, rate, batch, length"
        )
    else:
        said.append("all network arms share optimizer, rate, batch and length; all arms of a repeat share its items")
    flagged = sum(bool(run["flags"]) for run in runs)
    if flagged:
        said.append(
            f"in {flagged} of {len(runs)} repeats a transfer arm is below the linear model; each such run is flagged"
        )
    diverged = sorted({name for run in runs for name, arm in run["arms"].items() if "diverged" in arm})
    if diverged:
        said.append(f"diverged, and counted as nothing right: {', '.join(diverged)}")
    return said


def _budget(stages: Sequence[Any]) -> list[Mapping[str, Any]]:
    return [stage.model_dump(exclude={"train"}) for stage in stages]


def _verdict(found: Sequence[Mapping[str, Any]]) -> list[str]:
    if len(found) == 1:
        return list(found[0]["verdict"])
    firsts = [study["verdict"][0] for study in found]
    if len(set(firsts)) == 1:
        return [f"{firsts[0]}; the same in all {len(found)} studies"]
    classes = len({tuple(one["classes"]) for one in found}) > 1
    by = "which classes" if classes else "how many labels there are"
    return [
        f"it depends on {by}",
        *(f"{title(study, found)}: {first}" for study, first in zip(found, firsts, strict=True)),
    ]


def title(study: Mapping[str, Any], studies: Sequence[Mapping[str, Any]]) -> str:
    """What sets one study apart from the others."""
    parts = []
    if study["size"] is not None:
        parts.append(f"{study['size']} labelled items a class")
    if len({tuple(one["classes"]) for one in studies}) > 1:
        parts.append(f"classes {', '.join(study['classes'])}")
    return "; ".join(parts) or "Accuracy on the test"
