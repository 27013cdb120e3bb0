"""A head job from data to published version, phase by phase, each resumable.

The phases and their order are the domain's. Each reads what the earlier ones found, does its work through the module
that knows how, and leaves a result in the work area; a run after a crash skips what is there.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict
from functools import cached_property
from typing import Any

from service.domain.jobs import PHASES
from service.domain.progress import Finished
from training import grading, head_version
from training.data.contents import in_label_order
from training.errors import BadRecipe
from training.events import Announcer, Emit
from training.features import RAW, extract, inputs_of
from training.gate import decide, enough_test_items
from training.head_state import HeadState
from training.probe.calibration import calibrate
from training.probe.logistic import fit
from training.probe.selection import C_GRID, select
from training.recipe import Overrides
from training.seeds import child_seed
from training.split import divide
from training.task import Task
from training.verify import FreshProcess
from training.workarea import WorkArea

SHARES = dict(zip(PHASES, (3, 1, 28, 20, 1, 1, 43, 1, 2), strict=True))
"""How long the phases take compared to each other, measured on the digits preset."""
CANDIDATE, BASELINE = "candidate", "linear_raw"
SAMPLE = 8
"""Real items kept for the golden pair."""
SCALE_RATIO = 8.0
"""An image base whose numbers all lie below 255 divided by this was probably given another scale."""


class HeadRun(HeadState):
    """One run of one job: the phases, over the state they share."""

    def __init__(self, task: Task, recipe: Overrides, area: WorkArea, emit: Emit, cut: str = "auto") -> None:
        super().__init__(task, recipe, area)
        self.announcer = Announcer(SHARES, emit)
        self.cut = cut
        self._closing = ExitStack()

    def run(self) -> Finished:
        """All phases that are not finished yet.

        Raises:
            TrainingFailed: running again would end the same way.
        """
        with self._closing:
            self._run_phases()
        return head_version.finished(self)

    def _run_phases(self) -> None:
        steps: dict[str, Callable[[], dict[str, Any]]] = {phase: getattr(self, f"_{phase}") for phase in PHASES}
        for phase in PHASES:
            result = self.area.result(phase)
            if result is None:
                self.announcer.progress(phase, MESSAGES[phase])
                began = time.monotonic()
                result = {"found": steps[phase](), "cost": _cost(began)}
                self.area.finish(phase, result)
            else:
                self.announcer.skip(phase)
            self.found[phase], self.costs[phase] = result["found"], result["cost"]

    @cached_property
    def checker(self) -> FreshProcess:
        """The process that verifies, one for the run."""
        return self._closing.enter_context(FreshProcess())

    # --- The phases --------------------------------------------------------------------------------------------------

    def _validate(self) -> dict[str, Any]:
        manifest, contents = self.base_manifest, self.contents
        if self.cut not in {"auto", *manifest.features}:
            raise BadRecipe(f"the base has no cut {self.cut!r}; it has {', '.join(manifest.features)}")
        notes = [f"{note.place}: {note.message}" for note in self._report.warnings]
        if contents.numbers is not None and manifest.input.kind == "image":
            largest = float(contents.numbers.max())
            if largest * SCALE_RATIO < 255:
                notes.append(f"the base takes numbers on 0..255, and the largest here is {largest:g}")
        if contents.columns and manifest.input.columns and set(contents.columns) != set(manifest.input.columns):
            notes.append("the columns have other names than the base's and are taken in their order")
        for note in notes:
            self.announcer.warn(note)
        return {
            "classes": in_label_order(contents.labels),
            "labels": contents.labels,
            "digests": contents.digests,
            "report": self._report.to_dict(),
            "notes": notes,
        }

    def _split(self) -> dict[str, Any]:
        found = self.found["validate"]
        seed = child_seed(self.recipe.seed, "split")
        train, test = divide(found["digests"], found["labels"], self.recipe.split.test, seed)
        missing = set(range(len(self.labels))) - set(self.targets[train].tolist())
        if missing:
            names = ", ".join(repr(self.labels[label]) for label in sorted(missing))
            self.announcer.warn(f"all training items of class {names} are copies of items with another label")
        return {"train": train, "test": test}

    def _features(self) -> dict[str, Any]:
        manifest, total = self.base_manifest, len(self.contents)
        with self.area.fresh_directory("features") as directory:
            for done in extract(self.contents, self.base, manifest.input, manifest.features, directory):
                self.announcer.progress("features", f"{done} of {total} items through the base", done, total)
        items = self.split.train[:SAMPLE]
        inputs = inputs_of(self.contents, items.tolist(), manifest.input, self.base.pixels)
        self.area.save_arrays("sample", items=items, inputs=inputs)
        return {"items": total, "cuts": dict(manifest.features)}

    def _probe(self) -> dict[str, Any]:
        train, seed = self.split.train, child_seed(self.recipe.seed, "probe")
        targets, classes = self.targets[train], len(self.labels)
        l2 = self.recipe.head.l2
        grid = C_GRID if l2 == "auto" else (1.0 / l2,)
        cuts = self.cache.cuts if self.cut == "auto" else (self.cut,)
        features = {cut: self.cache.rows(cut, train) for cut in cuts}

        def told(done: int, total: int) -> None:
            self.announcer.progress("probe", f"{done} of {total} configurations tried", done, total + 1)

        chosen = select(features, targets, classes, grid, seed, told)
        raw = self.cache.rows(RAW, train)
        baseline = select({RAW: raw}, targets, classes, grid, seed, lambda done, total: None)
        for name, rows, C in ((CANDIDATE, features[chosen.cut], chosen.C), (BASELINE, raw, baseline.C)):
            linear = fit(rows, targets, classes, C)
            statistics = {"mean": linear.scaling.mean, "spread": linear.scaling.spread}
            self.area.save_arrays(name, weights=linear.weights, bias=linear.bias, **statistics)
        self.area.save_arrays("out_of_fold", logits=chosen.logits)
        return {
            "cut": chosen.cut,
            "C": chosen.C,
            "folds": chosen.folds,
            "repeats": chosen.repeats,
            "trials": [asdict(trial) for trial in chosen.trials],
            "baseline_trials": [asdict(trial) for trial in baseline.trials],
            "configs_tried": len(chosen.trials) + len(baseline.trials),
        }

    def _calibrate(self) -> dict[str, Any]:
        return asdict(calibrate(self.area.arrays("out_of_fold")["logits"], self.targets[self.split.train]))

    def _evaluate(self) -> dict[str, Any]:
        found = grading.grade_head(self)
        if "current_skipped" in found:
            self.announcer.warn(found["current_skipped"])
        return found

    def _export(self) -> dict[str, Any]:
        checker = self.checker
        with self.area.fresh_directory("export") as directory:
            found = head_version.export(self, directory)
            self.announcer.progress("export", "a fresh process checks the export", 1, 2)
            verification = checker.verify(directory)
        return {**found, "fresh_process": asdict(verification)}

    def _gate(self) -> dict[str, Any]:
        evaluated, exported = self.found["evaluate"], self.found["export"]
        checks = grading.quality_checks(evaluated, self.recipe.gate.margin)
        checks += head_version.parity_checks(exported)
        checks += enough_test_items(evaluated["arms"][CANDIDATE]["items"], evaluated["fewest_of_a_class"])
        return decide(checks, self.recipe.gate.mode).to_dict()

    def _publish(self) -> dict[str, Any]:
        if not self.found["gate"]["publish"]:
            return {"version": None}
        return {"version": head_version.publish_head(self, self.checker.verify)}


def _cost(began: float) -> dict[str, float]:
    """What a phase took that began at this time, and the most memory the process has had so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"seconds": round(time.monotonic() - began, 3), "peak_memory_mb": round(peak, 1)}


MESSAGES = {
    "validate": "looking at the data and the base",
    "split": "sealing the test",
    "features": "loading the base",
    "probe": "choosing where to cut",
    "calibrate": "fitting a temperature",
    "evaluate": "opening the test",
    "export": "writing the model",
    "gate": "deciding",
    "publish": "publishing",
}
