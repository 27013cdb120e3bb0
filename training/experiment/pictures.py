"""Which pictures an experiment gets, by file name, from its runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from training.experiment import figures
from training.experiment.arms import ClassicalArm
from training.experiment.material import Material
from training.experiment.schema import Experiment
from training.experiment.summarising import Run, key_of

MOST_LINES = 8
"""Arms in a picture of lines; more cannot be told apart."""


def pictures(
    experiment: Experiment,
    runs: Sequence[Run],
    studies: Sequence[Mapping[str, Any]],
    materials: Mapping[str, Material],
) -> dict[str, str]:
    """SVG texts by name. ``materials``: the data of source and target, as it was used."""
    found = {f"data-{role}": _data(material, f"{role}: {_titled(material)}") for role, material in materials.items()}
    for study in studies:
        own = [run for run in runs if key_of(run) == (tuple(study["classes"]), study["size"])]
        found |= _of_study(experiment, study, own, _suffix(study, studies))
    if len({study["size"] for study in studies}) > 1:
        # A line that is flat by nature only presses the others together.
        flat = {arm.name for arm in experiment.arms if isinstance(arm, ClassicalArm) and arm.model == "majority"}
        found["labels"] = _against_size(studies, flat)
    return found


def _of_study(experiment: Experiment, study: Mapping[str, Any], runs: Sequence[Run], suffix: str) -> dict[str, str]:
    said = _said(study)
    scores = {name: [run["arms"][name]["score"] for run in runs] for name in study["arms"]}
    found = {
        f"scores{suffix}": figures.box_plot(
            scores, f"{experiment.name}{said}: {study['sources']} source models, {study['repeats']} repeats"
        ),
        f"seconds{suffix}": figures.bars(
            {name: [run["arms"][name]["seconds"] for run in runs] for name in study["arms"]},
            f"time of one fit{said}",
            "seconds of training, without compiling",
        ),
    }
    curves = {
        name: [run["arms"][name]["curve"] for run in runs]
        for name in study["arms"]
        if all("curve" in run["arms"][name] for run in runs)
    }
    if curves:
        watched = "validation" if experiment.target.divide.valid else "test"
        shown = dict(list(curves.items())[:MOST_LINES])
        found[f"curves{suffix}"] = figures.learning_curves(shown, f"learning curves{said}", watched)
    transfers = [name for name, arm in study["arms"].items() if arm["transfers"]][:MOST_LINES]
    if transfers and study["sources"] > 2 and all(run["source_score"] is not None for run in runs):
        found[f"sources{suffix}"] = figures.pairs(
            [run["source_score"] for run in runs],
            {name: scores[name] for name in transfers[:4]},
            f"is a better source a better start{said}?",
            "accuracy of the source model on its own test, share",
            "accuracy on the target's test, share",
        )
    return found


def _data(material: Material, name: str) -> str:
    if material.is_image:
        return figures.grid(material.x, material.y, material.labels, name)
    return figures.scatter(material.x, material.y, material.labels, name)


def _against_size(studies: Sequence[Mapping[str, Any]], without: set[str]) -> str:
    first = studies[0]["classes"]
    lines: dict[str, list[tuple[float, float, float | None, float | None]]] = {}
    for study in studies:
        if study["classes"] == first:
            for name, arm in study["arms"].items():
                if name in without:
                    continue
                own = arm["summary"]
                lines.setdefault(name, []).append((study["size"], own["mean"], own["low"], own["high"]))
    return figures.against_size(lines, "accuracy against labelled items a class")


def _titled(material: Material) -> str:
    return f"{len(material.y)} items, {len(material.labels)} classes"


def _said(study: Mapping[str, Any]) -> str:
    return "" if study["size"] is None else f", {study['size']} labelled items a class"


def _suffix(study: Mapping[str, Any], studies: Sequence[Mapping[str, Any]]) -> str:
    parts = []
    if len({tuple(one["classes"]) for one in studies}) > 1:
        parts.append("-".join(study["classes"]))
    if study["size"] is not None:
        parts.append(str(study["size"]))
    return "".join(f"-{part}" for part in parts)
