"""A head job from data to published version, phase by phase, each resumable.

The phases and their order are the domain's. Each reads what the earlier ones found, does its work through the module
that knows how, and leaves a result in the work area; a run after a crash skips what is there.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from functools import cached_property
from typing import Any

from service.domain.jobs import PHASES
from service.domain.progress import Finished, TrainerEvent
from training import grading, head_version
from training.candidates.baselines import fit_baselines
from training.candidates.copies import check_copies, extract_copies
from training.candidates.extending import all_labels, is_extending
from training.candidates.finetuning import finetune
from training.candidates.network import fit_network, is_wanted
from training.candidates.probing import probe
from training.data.targets import Classes
from training.errors import BadData, BadRecipe
from training.events import Announcer, Emit
from training.feature_pass import FeaturePass
from training.features import inputs_of
from training.finetune.augment import resolve_policy
from training.fitted_state import FittedState
from training.gate import decide, enough_test_items
from training.limits import Limits, peak_memory_mb
from training.probe.calibration import calibrate
from training.recipe import Overrides
from training.seeds import child_seed
from training.split import Divisible, hold_out, partition
from training.target_record import names_of, to_plain
from training.task import Task
from training.verify import FreshProcess, digests
from training.workarea import WorkArea

SHARES = dict(zip(PHASES, (3, 1, 28, 20, 25, 1, 2, 40, 1, 2), strict=True))
"""How long the phases take compared to each other, measured on the digits preset."""
SAMPLE = 8
"""Real items kept for the golden pair."""
SCALE_RATIO = 8.0
"""An image base whose numbers all lie below 255 divided by this was probably given another scale."""


class HeadRun(FittedState):
    """One run of one job: the phases, over the state they share."""

    def __init__(
        self, task: Task, recipe: Overrides, area: WorkArea, emit: Emit, cut: str | Sequence[str] = "auto"
    ) -> None:
        super().__init__(task, recipe, area, cut)
        self.limits = Limits(recipe.limits)
        self.announcer = Announcer(SHARES, self._within_limits(emit))
        self._closing = ExitStack()

    def run(self) -> Finished:
        """All phases that are not finished yet.

        Raises:
            TrainingFailed: running again would end the same way.
        """
        self.limits.apply()
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
                self.limits.count(result["cost"]["seconds"])
            self.found[phase], self.costs[phase] = result["found"], result["cost"]

    def _within_limits(self, emit: Emit) -> Emit:
        def emit_if_allowed(event: TrainerEvent) -> None:
            self.limits.check()
            emit(event)

        return emit_if_allowed

    @cached_property
    def checker(self) -> FreshProcess:
        """The process that verifies, one for the run."""
        return self._closing.enter_context(FreshProcess())

    # --- The phases --------------------------------------------------------------------------------------------------

    def _validate(self) -> dict[str, Any]:
        manifest, contents = self.base_manifest, self.contents
        self.limits.check_examples(len(contents))
        check_copies(self)
        resolve_policy(self.recipe.augment.policy, manifest.input.kind)
        self._check_adapter()
        for cut in (self.cut,) if isinstance(self.cut, str) else self.cut:
            if cut not in {"auto", *manifest.features}:
                raise BadRecipe(f"the base has no cut {cut!r}; it has {', '.join(manifest.features)}")
        notes = [f"{note.place}: {note.message}" for note in self._report.warnings]
        if contents.numbers is not None and manifest.input.kind == "image":
            largest = float(contents.numbers.max())
            if largest * SCALE_RATIO < 255:
                notes.append(f"the base takes numbers on 0..255, and the largest here is {largest:g}")
        if contents.columns and manifest.input.columns and set(contents.columns) != set(manifest.input.columns):
            notes.append("the columns have other names than the base's and are taken in their order")
        for note in notes:
            self.announcer.warn(note)
        names = names_of(contents.targets, self.task.reading.labels)
        return {
            "labels": all_labels(self, names) if is_extending(self) else names,
            "targets": to_plain(contents.targets),
            "weights": None if contents.weights is None else contents.weights.tolist(),
            "digests": contents.digests,
            "replay": self.replayed.digest if is_extending(self) else None,
            "report": self._report.to_dict(),
            "notes": notes,
        }

    def _check_adapter(self) -> None:
        """Raises: BadRecipe: the adapter has weights that nothing would train."""
        if self.base_manifest.provenance.get("adapter_trainable") and self.recipe.finetune.enabled != "always":
            raise BadRecipe(
                f"the input adapter {self.base_manifest.provenance['adapter']!r} puts weights in front of the base "
                "that only fine-tuning trains: say finetune.enabled always, or another input.adapter"
            )

    def _split(self) -> dict[str, Any]:
        items, choice = Divisible.of(self.contents), self.recipe.split
        train, test = partition(items, choice.method, choice.test, child_seed(self.recipe.seed, "split"))
        if isinstance(self.targets, Classes):
            labels = self.targets.labels
            missing = set(labels) - {labels[item] for item in train}
            if missing:
                names = ", ".join(map(repr, sorted(missing)))
                self.announcer.warn(f"no item of class {names} is left to learn from without the test")
        try:
            seed = child_seed(self.recipe.seed, "watched")
            fitting, watched = hold_out(items, train, choice.method, choice.val, seed)
        except BadData:
            # Enough for a linear head, which is cross-validated; what has to be watched says that it cannot be.
            fitting, watched = train, []
        return {"train": train, "test": test, "fitting": fitting, "watched": watched}

    def _features(self) -> dict[str, Any]:
        _ = self.checker  # started now, it has imported TensorFlow by the time there is something to check
        manifest, total = self.base_manifest, len(self.contents)
        copied = self.recipe.augment.cached_copies * len(self.split.train)
        with self.area.fresh_directory("features") as directory:
            once = FeaturePass(self.contents, self.base, manifest, directory, self.task.known_features)
            for done in once.run():
                self.announcer.progress("features", f"{done} of {total} items through the base", done, total + copied)

        if once.reused:
            share = once.reused / total
            message = f"of {once.reused} of {total} items ({share:.0%}) the features were known from earlier jobs"
            self.announcer.warn(message, {"features_reused": once.reused, "items": total})

        def told(done: int, copies: int) -> None:
            self.announcer.progress("features", f"{done} of {copies} copies", total + done, total + copied)

        if copied:
            extract_copies(self, told)
        items = self.split.train[:SAMPLE]
        inputs = inputs_of(self.contents, items.tolist(), manifest.input, self.base.pixels)
        self.area.save_arrays("sample", items=items, inputs=inputs)
        found = {"items": total, "reused": once.reused, "cuts": dict(manifest.features)}
        return {**found, "seconds_an_item": once.seconds_an_item}

    def _probe(self) -> dict[str, Any]:
        wanted = is_wanted(self.recipe.head)
        parts = 2 if wanted else 1

        def told(done: int, total: int) -> None:
            self.announcer.progress("probe", f"{done} of {total} configurations tried", done, parts * (total + 1))

        def heard(done: int, total: int) -> None:
            self.announcer.progress("probe", f"step {done} of {total} of the head's layers", total + done, 2 * total)

        found = probe(self, told)
        self.found["probe"] = found
        return {**found, "network": fit_network(self, found["C"], heard) if wanted else None}

    def _finetune(self) -> dict[str, Any]:
        def told(message: str, done: int, total: int) -> None:
            self.announcer.progress("finetune", message, done, 3 * total)

        def heard(message: str, done: int, total: int) -> None:
            self.announcer.progress("finetune", message, total + 2 * done, 3 * total)

        found = finetune(self, told)
        return {**found, "baselines": fit_baselines(self, heard)}

    def _calibrate(self) -> dict[str, Any]:
        logits, items = self.candidate.unseen()
        found = calibrate(
            self.objective,
            logits,
            self.wanted[items],
            method=self.recipe.calibrate.method,
            threshold=self.recipe.head.threshold,
            confidence=self.recipe.evaluate.confidence,
        )
        return asdict(found)

    def _evaluate(self) -> dict[str, Any]:
        found = grading.grade_head(self)
        if "current_skipped" in found:
            self.announcer.warn(found["current_skipped"])
        return found

    def _export(self) -> dict[str, Any]:
        checker = self.checker
        with self.area.fresh_directory("export") as directory:
            found = head_version.export(self, directory, ready=lambda: checker.begin(directory))
            self.announcer.progress("export", "a fresh process checks the export", 1, 2)
            verification = checker.result()
            return {**found, "fresh_process": asdict(verification), "files": digests(directory)}

    def _gate(self) -> dict[str, Any]:
        evaluated, exported = self.found["evaluate"], self.found["export"]
        checks = grading.quality_checks(evaluated, self.recipe.gate.margin, self.recipe.gate.require)
        checks += head_version.parity_checks(exported)
        checks += enough_test_items(evaluated["arms"]["candidate"]["items"], evaluated["fewest_of_a_class"])
        return decide(checks, self.recipe.gate.mode).to_dict()

    def _publish(self) -> dict[str, Any]:
        if not self.found["gate"]["publish"]:
            return {"version": None}
        return {"version": head_version.publish_head(self)}


def _cost(began: float) -> dict[str, float]:
    """What a phase took that began at this time, and the most memory the process has had so far."""
    return {"seconds": round(time.monotonic() - began, 3), "peak_memory_mb": round(peak_memory_mb(), 1)}


MESSAGES = {
    "validate": "looking at the data and the base",
    "split": "sealing the test",
    "features": "loading the base",
    "probe": "choosing where to cut",
    "finetune": "looking whether fine-tuning would pay",
    "calibrate": "fitting a temperature",
    "evaluate": "opening the test",
    "export": "writing the model",
    "gate": "deciding",
    "publish": "publishing",
}
