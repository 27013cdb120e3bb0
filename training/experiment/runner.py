"""All repeats of an experiment, one process, resumable: every finished repeat is a line in a file at once."""

from __future__ import annotations

import json
import os
import resource
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from service.domain.faults import Fault
from training.errors import BadData, BadRecipe
from training.experiment.bodies import Bodies, takes_vectors
from training.experiment.contest import Contest, Sourced
from training.experiment.fitting import Items, accuracy, train
from training.experiment.material import Material, divide, load
from training.experiment.reading import digest
from training.experiment.schema import Experiment
from training.experiment.summarising import flags
from training.seeds import child_seed

RUNS = "runs.jsonl"
Told = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Repeat:
    """One repeat's place in the experiment."""

    split: int
    source: int
    seed: int
    size: int | None


def repeats(experiment: Experiment) -> list[Repeat]:
    """All of them, those of one source model side by side."""
    per_class = experiment.target.divide.per_class
    sizes: list[int | None] = [*per_class] if per_class else [None]
    return [
        Repeat(split, source, seed, size)
        for split in range(max(1, len(experiment.class_splits)))
        for source in range(experiment.repeats.sources)
        for seed in range(experiment.repeats.seeds)
        for size in sizes
    ]


def run(experiment: Experiment, directory: Path, told: Told) -> list[dict[str, Any]]:
    """Run what is not yet there, and return every repeat's figures in their order.

    Args:
        directory: gets ``runs.jsonl``; one that holds repeats of the same experiment is gone on with.
        told: called with a text, repeats done and repeats in all.

    Raises:
        BadRecipe: the directory holds another experiment, or the experiment does not go with its data.
        BadData: the data is not what the experiment needs.
    """
    directory.mkdir(parents=True, exist_ok=True)
    finished = _Finished(directory / RUNS, digest(experiment))
    wanted = repeats(experiment)
    waiting = [one for one in wanted if one not in finished.found]
    laboratory = _Laboratory(experiment)
    for done, one in enumerate(waiting):

        def say(text: str, done: int = done, one: Repeat = one) -> None:
            told(f"{_named(one)}: {text}", done, len(waiting))

        finished.add(one, laboratory.figures(one, say))
    told("all repeats are there", len(waiting), len(waiting))
    return [finished.found[one] for one in wanted]


def materials(experiment: Experiment) -> dict[str, Material]:
    """The data of target and source, those of the first choice of classes, to be looked at."""
    source, target = _Laboratory(experiment).data(0)
    return {"target": target} if source is None else {"source": source, "target": target}


class _Laboratory:
    """Data, networks and the source model of the moment, kept from repeat to repeat."""

    def __init__(self, experiment: Experiment) -> None:
        self._experiment = experiment
        self._bodies: Bodies | None = None
        self._materials: tuple[int, Material | None, Material] | None = None
        self._source: tuple[tuple[int, int], Sourced, float | None] | None = None

    def figures(self, one: Repeat, say: Callable[[str], None]) -> dict[str, Any]:
        experiment = self._experiment
        source_material, material = self.data(one.split)
        bodies = self._networks(material)
        sourced, source_score = self._sourced(one, bodies, source_material, len(material.labels), say)
        seed = child_seed(experiment.seed, "repeat", one.split, one.source, one.seed)
        sides = divide(material, experiment.target.divide, one.size, child_seed(seed, "size", one.size))
        contest = Contest(bodies, material, sides, sourced, experiment.stages, seed)
        arms = contest.run(experiment.arms, say)
        return {
            "source": one.source,
            "seed": one.seed,
            "size": one.size,
            "classes": list(material.labels),
            "source_score": source_score,
            "arms": arms,
            "flags": flags(experiment, arms),
            "peak_rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
        }

    def data(self, split: int) -> tuple[Material | None, Material]:
        """Of source, where it learns, and target."""
        if self._materials is None or self._materials[0] != split:
            experiment = self._experiment
            source, target = experiment.source.data, experiment.target.data
            if experiment.swap and source is not None:
                source, target = target, source
            if experiment.class_splits:
                chosen = tuple(experiment.class_splits[split])
                material = load(target.model_copy(update={"labels": list(chosen)}))
                self._materials = split, load(source, without=chosen) if source else None, material
            else:
                self._materials = split, load(source) if source else None, load(target)
        return self._materials[1], self._materials[2]

    def _networks(self, material: Material) -> Bodies:
        if self._bodies is None:
            choice = self._experiment.source.network
            shape = material.network_input(takes_vectors(choice)).shape[1:]
            self._bodies = Bodies(choice, shape, child_seed(self._experiment.seed, "network"))
        return self._bodies

    def _sourced(
        self, one: Repeat, bodies: Bodies, material: Material | None, classes: int, say: Callable[[str], None]
    ) -> tuple[Sourced, float | None]:
        place = (one.split, one.source)
        if self._source is None or self._source[0] != place:
            say("the source model")
            self._source = (place, *self._learned(place, bodies, material, classes))
        return self._source[1], self._source[2]

    def _learned(
        self, place: tuple[int, int], bodies: Bodies, material: Material | None, classes: int
    ) -> tuple[Sourced, float | None]:
        experiment, seed = self._experiment, child_seed(self._experiment.seed, "source", *place)
        if material is None:
            return Sourced(bodies.given(bodies.network(classes), seed), None, ()), None
        if material.network_input(bodies.flat).shape[1:] != bodies.shape:
            message = f"items of the source are {material.x.shape[1:]}, the target's are otherwise: {bodies.shape}"
            raise BadData([Fault("shape", message, "source.data")])
        sides = divide(material, experiment.source.divide, None, child_seed(seed, "source sides"))
        network = bodies.network(len(material.labels))
        x = material.network_input(bodies.flat)
        items, test = Items(x[sides.train], material.y[sides.train]), Items(x[sides.test], material.y[sides.test])
        train(network, network.fresh(child_seed(seed, "start")), experiment.source.stages, items, test, seed)
        score = accuracy(network.logits(test.x), test.y)
        return Sourced(network.weights(), items, material.labels), score


class _Finished:
    """The file of finished repeats. Its first line says of which experiment."""

    def __init__(self, path: Path, name: str) -> None:
        self._path = path
        self.found: dict[Repeat, dict[str, Any]] = {}
        lines = list(_whole_lines(path))
        if lines and lines[0].get("experiment") != name:
            raise BadRecipe(f"{path.parent} holds the results of another experiment; give another --out")
        for line in lines[1:]:
            self.found[Repeat(*line["place"])] = line["figures"]
        if not lines:
            path.write_text(json.dumps({"experiment": name}) + "\n")

    def add(self, one: Repeat, figures: dict[str, Any]) -> None:
        self.found[one] = figures
        place = [one.split, one.source, one.seed, one.size]
        with self._path.open("a") as stream:
            stream.write(json.dumps({"place": place, "figures": figures}) + "\n")
            stream.flush()
            os.fsync(stream.fileno())


def _whole_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The lines of a file; one that a killed process has left unfinished is cut off."""
    if not path.exists():
        return
    text = path.read_text()
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        path.write_text(whole)
    for line in whole.splitlines():
        yield json.loads(line)


def _named(one: Repeat) -> str:
    size = f", {one.size} a class" if one.size is not None else ""
    return f"source {one.source}, seed {one.seed}{size}"
