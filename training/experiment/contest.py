"""One repeat: every arm on the same items of one target, with one source model."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from training.errors import BadRecipe, Diverged
from training.experiment import classical
from training.experiment.arms import AnyArm, ClassicalArm, NetworkArm, ProbeArm, Stage
from training.experiment.bodies import Bodies
from training.experiment.fitting import Items, Training, train
from training.experiment.material import Material, Sides
from training.experiment.network import OUTPUT, Network, Weights
from training.experiment.solving import Solved, solve
from training.seeds import child_seed

RAW = "input"


@dataclass(frozen=True, slots=True)
class Sourced:
    """A source model: its weights, and the training items it has learned from, where there are any."""

    weights: Weights
    items: Items | None
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Contest:
    """What all arms of a repeat have in common."""

    bodies: Bodies
    material: Material
    sides: Sides
    source: Sourced
    stages: Sequence[Stage]
    seed: int

    def run(self, arms: Sequence[AnyArm], told: Callable[[str], None]) -> dict[str, dict[str, Any]]:
        """The figures of each arm by its name: ``score``, ``right`` (0 or 1 for each item), ``seconds`` and more."""
        found = {}
        for arm in arms:
            told(arm.name)
            found[arm.name] = self._one(arm)
        return found

    def _one(self, arm: AnyArm) -> dict[str, Any]:
        try:
            match arm:
                case NetworkArm():
                    return self._network(arm)
                case ProbeArm():
                    return self._probe(arm)
                case ClassicalArm():
                    return self._classical(arm)
        except Diverged as error:
            # A run that diverges is a result of the arm, the worst there is; leaving it out would flatter the arm.
            return {"score": 0.0, "right": "0" * len(self.sides.test), "diverged": str(error), "seconds": 0.0}

    def _network(self, arm: NetworkArm) -> dict[str, Any]:
        network = self.bodies.network(len(self.material.labels), tuple(arm.hidden), arm.dropout)
        items, start = self._items(self.sides.train), self._start(arm, network)
        if arm.data == "both":
            items = self._with_source_items(items)
        solved: dict[str, Any] = {}
        began = time.perf_counter()
        if arm.head == "probe":
            network.put(start, self.seed)
            head = self._solved_head(network, items)
            start, solved = {**start, OUTPUT: head.as_layer()}, head.facts()
        probe_seconds = time.perf_counter() - began if solved else 0.0
        training = train(network, start, arm.stages or self.stages, items, self._watched(), self.seed)
        logits = network.logits(self._items(self.sides.test).x)
        return {
            **self._judged(logits),
            **_facts(training),
            **solved,
            "seconds": round(training.seconds + probe_seconds, 4),
            "train_score": float((network.logits(items.x).argmax(axis=1) == items.y).mean()),
            "items": len(items.y),
        }

    def _start(self, arm: NetworkArm, network: Network) -> Weights:
        # The same purpose for every arm: arms that start anew start alike, so that their difference is not the draw.
        start = network.fresh(child_seed(self.seed, "start"))
        if arm.weights == "source":
            unknown = [name for name in arm.reinit if name not in network.body]
            if unknown:
                known = ", ".join(network.body)
                raise BadRecipe(f"arm {arm.name!r}: there is no layer {unknown[0]!r} to start anew; there are {known}")
            start |= {name: self.source.weights[name] for name in network.body if name not in arm.reinit}
        if arm.head == "source":
            if len(self.source.labels) != len(self.material.labels) or OUTPUT not in self.source.weights:
                raise BadRecipe(f"arm {arm.name!r}: the source has no output for {len(self.material.labels)} classes")
            start[OUTPUT] = self.source.weights[OUTPUT]
        return start

    def _with_source_items(self, items: Items) -> Items:
        if self.source.items is None or self.source.labels != self.material.labels:
            raise BadRecipe("data: both needs a source that learned the same classes")
        return Items(np.concatenate([self.source.items.x, items.x]), np.concatenate([self.source.items.y, items.y]))

    def _solved_head(self, network: Network, items: Items) -> Solved:
        *_, (cut, values) = network.features(items.x).items()
        return solve({cut: values}, items.y, len(self.material.labels), self.seed)

    def _probe(self, arm: ProbeArm) -> dict[str, Any]:
        network = self.bodies.network(len(self.material.labels))
        start = network.fresh(child_seed(self.seed, "start"))
        if arm.weights == "source":
            start |= {name: self.source.weights[name] for name in network.body}
        network.put(start, self.seed)
        items, test = self._items(self.sides.train), self._items(self.sides.test)
        began = time.perf_counter()
        known = self._at_cuts(arm, network, items.x, self.sides.train)
        head = solve(known, items.y, len(self.material.labels), self.seed)
        seconds = time.perf_counter() - began
        asked = self._at_cuts(arm, network, test.x, self.sides.test)
        return {
            **self._judged(head.linear.logits(asked[head.cut])),
            **head.facts(),
            "seconds": round(seconds, 4),
            "parameters": int(head.linear.weights.size + head.linear.bias.size),
            "items": len(items.y),
        }

    def _at_cuts(self, arm: ProbeArm, network: Network, x: Any, places: Any) -> dict[str, Any]:
        features = network.features(x)
        if arm.cut == "penultimate":
            features = dict([list(features.items())[-1]])
        elif arm.cut != "auto":
            if arm.cut not in features:
                raise BadRecipe(f"arm {arm.name!r}: there is no cut {arm.cut!r}; there are {', '.join(features)}")
            features = {arm.cut: features[arm.cut]}
        if arm.raw:
            rows = self.material.rows()[places]
            features = {f"{cut}+{RAW}": np.concatenate([values, rows], axis=1) for cut, values in features.items()}
        return features

    def _classical(self, arm: ClassicalArm) -> dict[str, Any]:
        rows, train_items = self.material.rows(), self.sides.train
        began = time.perf_counter()
        logits = classical.scores(
            arm.model,
            rows[train_items],
            self.material.y[train_items],
            rows[self.sides.test],
            len(self.material.labels),
            self.seed,
        )
        seconds = round(time.perf_counter() - began, 4)
        return {**self._judged(logits), "seconds": seconds, "items": len(train_items)}

    def _items(self, places: Any) -> Items:
        return Items(self.material.network_input(self.bodies.flat)[places], self.material.y[places])

    def _watched(self) -> Items:
        return self._items(self.sides.valid if len(self.sides.valid) else self.sides.test)

    def _judged(self, logits: Any) -> dict[str, Any]:
        right = logits.argmax(axis=1) == self.material.y[self.sides.test]
        return {"score": float(right.mean()), "right": "".join("1" if one else "0" for one in right)}


def _facts(training: Training) -> dict[str, Any]:
    return {
        "steps": training.steps,
        "start_score": training.curve[0][3],
        "curve": [list(point) for point in training.curve],
        "reach": training.reach(),
        "trained": list(training.trained),
        "parameters": training.parameters,
        "displacement": dict(training.displacement),
    }
