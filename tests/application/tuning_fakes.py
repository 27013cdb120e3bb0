"""What tuning needs from outside, by hand and in memory. The fake trainer and the real one pass the same contract
(tests/adapters/test_process_trainer.py), acting out the ``acts`` of a recipe.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from service.adapters.dataset_files import DatasetDirectory
from service.adapters.job_database import JobDatabase
from service.adapters.upload_directory import UploadDirectory
from service.application.ports import Listing, TrainerTask
from service.application.tuning import Tuning, TuningPolicy, UploadPolicy
from service.domain.artifact import BaseRef, InputKind, InputSpec, Manifest, ModelKind, Route
from service.domain.dataset import Dataset, DatasetFormat, DatasetReport, Extended
from service.domain.errors import ModelFailed
from service.domain.faults import Fault
from service.domain.heads import AnswerForm
from service.domain.jobs import PHASES, Job, JobRequest, JobState
from service.domain.progress import TrainerEvent, from_line
from service.domain.sample import SampleWish
from service.domain.versions import VersionId

FINISHED = {
    "event": "finished",
    "model": "flowers",
    "version": 3,
    "metrics": {"accuracy": 0.97},
    "gate": {"verdict": "passed"},
    "recipe": {"l2": 0.1},
    "headline": "97 % right",
}
PLACED = {"event": "placed", "message": "begins on n1", "data": {"node": "n1"}}
FAILED = {"event": "failed", "code": "bad_recipe", "message": "no such key", "details": {"key": "l3"}}


def phase(name: str, percent: float = 0.0, message: str = "") -> dict[str, Any]:
    return {"say": {"event": "progress", "phase": name, "message": message or f"{name} begins", "percent": percent}}


WHOLE = [*(phase(name, 10.0 * place) for place, name in enumerate(PHASES)), {"say": FINISHED}]
STUCK = [phase("validate"), phase("features", 20.0), {"hang": True}]


class Clock:
    """Real time, which a test can move on."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def now(self) -> float:
        return time.time() + self.ahead

    def monotonic(self) -> float:
        return time.monotonic() + self.ahead

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class FakeRun:
    def __init__(self, acts: Sequence[Mapping[str, Any]], runs: int, leaving: asyncio.Event) -> None:
        self._leaving = leaving
        self._lines: asyncio.Queue[str | None] = asyncio.Queue()
        self._status: int | None = None
        self._log: list[str] = []
        self._term: Any = None
        self._resident = 0
        self.told_to_stop = asyncio.Event()
        self._acting = asyncio.create_task(self._act(acts, runs))

    async def _act(self, acts: Sequence[Mapping[str, Any]], runs: int) -> int:
        status = 0
        for act in acts:
            for name, value in act.items():
                match name:
                    case "say":
                        self._lines.put_nowait(json.dumps(value))
                        status = 1 if value["event"] == "failed" else status
                    case "print":
                        self._lines.put_nowait(value)
                    case "complain":
                        self._log.append(value)
                    case "on_sigterm_say":
                        self._term = value
                    case "ignore_sigterm":
                        self._term = "ignore"
                    case "crash_before_run":
                        if runs < value:
                            return -9
                    case "hold_mb":
                        self._resident = value << 20
                    case "pause":
                        await asyncio.sleep(value)
                    case "hang":
                        await asyncio.Event().wait()
                    case "exit":
                        return int(value)
                    case _:
                        raise AssertionError(f"the fake cannot {name}")
        return status

    async def events(self) -> AsyncIterator[TrainerEvent]:
        self._acting.add_done_callback(lambda _: self._lines.put_nowait(None))
        while (line := await self._lines.get()) is not None:
            event = from_line(line)
            if event is None:
                self._log.append(line)
            else:
                yield event

    async def ended(self) -> int:
        await asyncio.wait({self._acting})
        await self._leaving.wait()
        if self._status is None:
            self._status = self._acting.result()
        return self._status

    async def stop(self, grace_s: float) -> None:
        self.told_to_stop.set()
        if self._term == "ignore" and grace_s:
            await asyncio.wait({self._acting}, timeout=grace_s)
        if not self._acting.done():
            if isinstance(self._term, dict):
                self._lines.put_nowait(json.dumps(self._term))
            self._status = 0 if isinstance(self._term, dict) else -9 if self._term or not grace_s else -15
            self._acting.cancel()
        await self.ended()

    def memory_bytes(self) -> int:
        return 0 if self._acting.done() else self._resident

    def log_tail(self) -> str:
        return "\n".join(self._log)


class FakeTrainer:
    """Acts out recipes. ``leaving`` cleared keeps processes from being gone although they were told to go."""

    def __init__(self) -> None:
        self.leaving = asyncio.Event()
        self.leaving.set()
        self.tasks: list[TrainerTask] = []
        self.runs: dict[str, list[FakeRun]] = {}
        self.areas: set[str] = set()
        self.reaped: list[str] = []
        self.cannot_start: str | None = None
        self.cannot_reap: str | None = None

    async def start(self, task: TrainerTask) -> FakeRun:
        if self.cannot_start:
            raise ModelFailed(self.cannot_start)
        self.tasks.append(task)
        self.areas.add(task.job_id)
        runs = self.runs.setdefault(task.job_id, [])
        runs.append(FakeRun(task.recipe["acts"], len(runs) + 1, self.leaving))
        return runs[-1]

    async def reap(self, job_id: str) -> None:
        self.reaped.append(job_id)
        if self.cannot_reap:
            raise ModelFailed(self.cannot_reap)

    def discard(self, job_id: str) -> None:
        self.areas.discard(job_id)

    def left_behind(self) -> Collection[str]:
        return list(self.areas)


class FakeChecker:
    """Finds in a file what its text says: ``bad`` has two faults, anything else is a dataset of that content."""

    def __init__(self) -> None:
        self.asked: list[tuple[DatasetFormat | None, dict[str, str]]] = []

    async def check(
        self,
        file: Path,
        format: DatasetFormat | None,
        options: Mapping[str, str],
        sample: SampleWish | None = None,
    ) -> DatasetReport:
        self.asked.append((format, dict(options)))
        text = await asyncio.to_thread(file.read_text)
        if text == "bad":
            faults = (Fault("nan", "a number is missing", "row 3, column b"), Fault("one_class", "one class", "file"))
            return DatasetReport(DatasetFormat.CSV, InputKind.VECTOR, 3, {"a": 3}, (4,), faults=faults, fault_count=7)
        if text == "broken":
            raise ModelFailed("the check broke")
        digest = hashlib.sha256(text.encode()).hexdigest()
        width = int(text.partition("width ")[2] or 4)
        return DatasetReport(DatasetFormat.CSV, InputKind.VECTOR, 10, {"a": 5, "b": 5}, (width,), digest=digest)

    async def extend(
        self,
        old: Path,
        dataset: Dataset,
        new: Path,
        format: DatasetFormat | None,
        options: Mapping[str, str],
        into: Path,
    ) -> Extended:
        """Both texts, one behind the other; a text that is in the dataset already adds nothing."""
        report = await self.check(new, format, options)
        text, more = await asyncio.to_thread(old.read_text), await asyncio.to_thread(new.read_text)
        if report.fault_count or more in text:
            return Extended(report, {}, 0, 10)
        await asyncio.to_thread(into.write_text, text + more)
        return Extended(await self.check(into, None, options), {"label": "both"}, 10, 0)


def manifest(kind: ModelKind, width: int = 4) -> Manifest:
    more: dict[str, Any] = {"features": {"features": 8}}
    if kind is ModelKind.HEAD:
        route = Route("features", AnswerForm.PREDICT)
        more = {"base": BaseRef("iris", 1, "d"), "cut": "features", "routes": {"serving_default": route}}
    return Manifest(kind, "multiclass", ("a", "b"), InputSpec(InputKind.VECTOR, (width,)), "digest", {}, **more)


class Models:
    """What is served: a base ``iris``, a head ``petals``, and a plain ``foreign``."""

    def __init__(self) -> None:
        self.found = {
            "iris": self._listing("iris", manifest(ModelKind.BASE)),
            "petals": self._listing("petals", manifest(ModelKind.HEAD)),
            "foreign": self._listing("foreign", None),
        }

    @staticmethod
    def _listing(name: str, found: Manifest | None) -> Listing:
        return Listing(VersionId(name, 1), Path(f"/repository/{name}/1"), "stamp", found)

    def live_listing(self, model: str) -> Listing | None:
        found = self.found.get(model)
        return found if found and found.manifest else None

    looked = True

    def listings(self, model: str) -> Sequence[Listing]:
        return [self.found[model]] if model in self.found else []


class Observer:
    def __init__(self) -> None:
        self.moves: list[JobState] = []
        self.ends: list[JobState] = []
        self.checks: list[bool] = []
        self.counts: list[Mapping[JobState, int]] = []
        self.counted = asyncio.Event()

    def job_moved(self, state: JobState) -> None:
        self.moves.append(state)

    def job_ended(self, state: JobState, seconds: float) -> None:
        self.ends.append(state)

    def jobs_counted(self, counts: Mapping[JobState, int]) -> None:
        self.counts.append(counts)
        self.counted.set()

    def dataset_checked(self, accepted: bool, size_bytes: int, seconds: float) -> None:
        self.checks.append(accepted)


class Bench:
    """Tuning with everything it needs in one directory. ``service`` makes one more process, as far as it can tell."""

    def __init__(self, directory: Path, trainer: Any = None, database: str | None = None) -> None:
        self.directory = directory
        self.database = JobDatabase(database or f"sqlite:///{directory}/jobs.db")
        self.files = DatasetDirectory(directory)
        self.trainer = trainer or FakeTrainer()
        self.checker = FakeChecker()
        self.models = Models()
        self.observer = Observer()
        self.clock = Clock()
        self.upload_policy = UploadPolicy()
        self._services: list[tuple[Tuning, list[asyncio.Task[None]]]] = []

    def service(
        self,
        owner: str = "first",
        store: Any = None,
        announcements: Any = None,
        publisher: Any = None,
        going_live: Any = None,
        at_once: Any = None,
        **policy: Any,
    ) -> Tuning:
        quick: dict[str, Any] = {
            "heartbeat_s": 0.05,
            "poll_s": 0.1,
            "grace_s": 5.0,
            "progress_s": 0.0,
            "base_wait_s": 30.0,
        }
        quick |= {"pauses_s": (0.0,)}
        tuning = Tuning(
            store or self.database,
            self.trainer,
            self.checker,
            self.files,
            self.models,
            self.observer,
            self.clock,
            TuningPolicy(Path("/repository"), owner, **{**quick, **policy}),
            UploadDirectory(self.directory / "parts"),
            self.upload_policy,
            publisher=publisher,
            announcements=announcements,
            going_live=going_live,
            at_once=at_once,
        )
        self._services.append((tuning, []))
        return tuning

    def at_work(self, tuning: Tuning) -> asyncio.Task[None]:
        task = asyncio.create_task(tuning.work())
        next(tasks for known, tasks in self._services if known is tuning).append(task)
        return task

    async def close(self) -> None:
        for tuning, tasks in self._services:
            await tuning.close()
            for task in tasks:
                await asyncio.wait({task})
                if not task.cancelled():
                    task.result()
        self.database.close()

    async def dataset(self, tuning: Tuning, text: str = "good") -> Dataset:
        with self.files.incoming() as file:
            file.write_text(text)
            return await tuning.datasets.accept(file, "flowers.csv")

    async def job(self, tuning: Tuning, acts: Sequence[Mapping[str, Any]] = WHOLE, head: str = "flowers") -> Job:
        dataset = await self.dataset(tuning)
        return await tuning.jobs.submit(JobRequest(head, "iris", dataset.id, {"acts": list(acts)}))


async def end_of(tuning: Tuning, job: Job) -> Job:
    """The job when it has ended."""
    async for _ in tuning.jobs.watch(job.id):
        pass
    return await tuning.jobs.get(job.id)


async def event_of(tuning: Tuning, job: Job, type: str, after: int = 0, **data: Any) -> int:
    """Wait until the job's history has such an event; its number."""
    async for event in tuning.jobs.watch(job.id, after):
        if event.type == type and data.items() <= dict(event.data).items():
            return event.seq
    raise AssertionError(f"{job.id} ended without {type} {data}")


async def types_of(tuning: Tuning, job: Job) -> list[str]:
    return [event.type for event in await tuning.jobs.events(job.id, limit=500)]
