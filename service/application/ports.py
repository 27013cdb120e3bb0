"""What the application needs from outside, each as small as it can be. Adapters implement these; tests fake them.

Ports that a thread waits in are plain methods and say so; the application calls them off the event loop.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any, Protocol

from service.domain.artifact import Manifest
from service.domain.batches import BatchLimits
from service.domain.dataset import Dataset, DatasetFormat, DatasetReport
from service.domain.engines import EngineChoice
from service.domain.heads import Head
from service.domain.jobs import Job, JobEvent, JobState, Move
from service.domain.progress import TrainerEvent
from service.domain.serving_config import ServingConfig
from service.domain.tensors import Array, Signature, Tensors
from service.domain.versions import VersionId

# --- Serving ----------------------------------------------------------------------------------------------------------


class Graph(Protocol):
    """A loaded graph: signatures that can be run, from any thread, several at once."""

    @property
    def engine(self) -> str:
        """The name of what runs it: of several, what runs the signature that people ask for most."""

    @property
    def choices(self) -> Mapping[str, EngineChoice]:
        """By signature what runs it, and why."""

    @property
    def signatures(self) -> Mapping[str, Signature]:
        """The ways to call it."""

    def run(self, signature: str, inputs: Tensors) -> dict[str, Array]:
        """Run one signature. Blocks.

        Raises:
            InvalidInput: the graph refused these inputs.
            ModelFailed: it broke on them.
        """

    def close(self) -> None:
        """Let go of everything it holds. Blocks; never called while a run is under way."""


def graph_name(key: str) -> str:
    """A loaded graph as people read it: a digest's first digits name it well enough."""
    kind, colon, rest = key.partition(":")
    if kind == "plain":
        return "plain:" + rest.rpartition(":")[0]
    return f"{kind}:{rest[:12]}" if colon else key[:12]


class Engine(Protocol):
    """What turns a SavedModel directory into a graph."""

    def signatures(self, directory: Path) -> Mapping[str, Signature]:
        """Read the signatures without loading the weights. Blocks.

        Raises:
            ModelFailed: there is no readable SavedModel.
        """

    def load(self, directory: Path) -> Graph:
        """Load it. Blocks.

        Raises:
            ModelFailed: it cannot be loaded; the text says why.
        """


@dataclass(frozen=True, slots=True)
class Listing:
    """One version found in a repository. ``stamp`` changes when its files do."""

    id: VersionId
    directory: Path
    stamp: str
    manifest: Manifest | None
    problem: str | None = None
    """Why it cannot be read as a version, if so."""


@dataclass(frozen=True, slots=True)
class GoldenPair:
    """An input batch and the float outputs expected for it, of one signature."""

    signature: str
    inputs: Tensors
    outputs: Tensors
    of_base: str | None = None
    """Of a thin head: the inputs are those of its base's golden pair, in the file of this sha256."""


class Repository(Protocol):
    """Where published versions lie."""

    def scan(self) -> Mapping[str, Sequence[Listing]]:
        """Every model and its versions, as they are now. Blocks.

        Raises:
            OSError: the repository cannot be reached; what is live stays live.
        """

    def list_versions(self, model: str, base_path: PurePath, before: Sequence[Listing]) -> Sequence[Listing]:
        """Every version in one base path, served under this name. ``before`` is what the last look found there: what
        did not change is not read again. Blocks.

        Raises:
            OSError: it is missing or cannot be read.
        """

    def head(self, listing: Listing) -> Head:
        """The head's weights. Blocks.

        Raises:
            ModelFailed: they are missing or unreadable.
        """

    def golden(self, listing: Listing) -> GoldenPair | None:
        """The golden pair, if the version has one. Blocks.

        Raises:
            ModelFailed: it is unreadable.
        """

    def damage(self, listing: Listing) -> str | None:
        """Hold the files against the manifest's digests: None, or what is wrong. Blocks."""


class ConfigSource(Protocol):
    """Where the models to serve are listed."""

    def read(self) -> ServingConfig:
        """What it says now. Blocks.

        Raises:
            InvalidInput: it cannot be understood; the text says where and why.
            OSError: it cannot be read.
        """


class BatchingRules(Protocol):
    """What a version says of how it wants to be batched."""

    def limits(self, directory: Path) -> BatchLimits | None:
        """The limits it brings along; None where it has none, and the server's own hold. Blocks.

        Raises:
            ModelFailed: they are there and cannot be read, or contradict themselves.
        """


@dataclass(frozen=True, slots=True)
class Request:
    """One request to one signature, as a door would have decoded it."""

    signature: str
    inputs: Tensors


class WarmUp(Protocol):
    """Requests that a version brings along, to be run before it answers."""

    def requests(self, directory: Path, signatures: Mapping[str, Signature]) -> Iterable[Request]:
        """All of them, in order; empty where it has none. Blocks, and reads as it is iterated.

        Raises:
            ModelFailed: while iterating, one is unreadable, of a kind that cannot be run, or there are too many.
        """


class Companions(Protocol):
    """The other processes that serve the same, where there are any."""

    async def agree(self, editions: Collection[str], failed: Collection[str]) -> None:
        """Wait until they, too, have these editions of versions ready, or know that they cannot, so that all begin to
        answer with them at one moment; not for ever.
        """

    def forget(self, edition: str) -> None:
        """An edition is gone here."""


class ServingObserver(Protocol):
    """Told what happened while serving; decides what to count."""

    def began(self, door: str) -> None:
        """A predict request was accepted; ``answered`` follows."""

    def answered(
        self, model: str, version: int | None, signature: str, door: str, outcome: str, seconds: float, api: str
    ) -> None:
        """A predict request ended; ``outcome`` is ``ok`` or the error's kind, no version means that none was found.
        ``api`` is what was called: ``predict``, ``classify``, ``regress``, or ``multi_inference``.
        """

    def batch_ran(
        self, graph: str, signature: str, rows: int, requests: int, waited: float, ran: float, filled: int
    ) -> None:
        """A batch ran: its rows, how many requests they came from, seconds the first waited, seconds it took, and how
        many rows were added to reach a size that a run may have.
        """

    def run_rows_chosen(self, graph: str, signature: str, rows: int) -> None:
        """So many rows at most will go into a run of a signature, as was measured."""

    def runs_stuck(self, graph: str, signature: str, runs: int) -> None:
        """So many runs of a signature hold a lane without end now."""

    def graph_loaded(self, graph: str, seconds: float) -> None:
        """A graph is in memory now."""

    def engines_chosen(self, graph: str, choices: Mapping[str, EngineChoice]) -> None:
        """What runs each signature of a graph that is in memory now."""

    def graph_freed(self, graph: str) -> None:
        """A graph is no longer in memory."""

    def load_attempted(self, directory: Path, loaded: bool, seconds: float) -> None:
        """An engine tried to load what lies there."""

    def warmed_up(self, directory: Path, records: int, answered: bool, seconds: float) -> None:
        """The requests that a version brought along were run: so many, to the last if all were answered."""

    def version_live(self, version: VersionId, kind: str, graph: str, seconds: float) -> None:
        """A version answers now, from this graph; seconds from the start of its load."""

    def version_failed(self, version: VersionId, reason: str) -> None:
        """A version could not be made live."""

    def version_gone(self, version: VersionId) -> None:
        """A version answers no longer and its memory is free."""


# --- Tuning -----------------------------------------------------------------------------------------------------------


class DatasetChecker(Protocol):
    """Looks at labelled data with the trainer's own eyes, and stops looking when its caller is cancelled."""

    async def check(self, file: Path, format: DatasetFormat | None, options: Mapping[str, str]) -> DatasetReport:
        """What is in the file, and everything wrong with it.

        Raises:
            ModelFailed: the check itself broke.
        """


class DatasetFiles(Protocol):
    """The content of datasets at rest. Every method blocks."""

    def incoming(self) -> AbstractContextManager[Path]:
        """A new, empty file for one upload. At the end of the block it is removed, unless it was kept meanwhile; and
        should the process die instead, the next sweep removes it.
        """

    def keep(self, file: Path, name: str) -> None:
        """Move an incoming file to its place, inside its ``incoming`` block: until that ends no sweep touches it."""

    def path(self, name: str) -> Path:
        """Where the content kept under this name lies."""

    def discard(self, name: str) -> None:
        """Remove it, if it is there."""

    def sweep(self, wanted: Callable[[], Collection[str]]) -> int:
        """Remove what dead processes left behind: uploads, and kept files whose names are not wanted. Says how many."""


class JobStore(Protocol):
    """Jobs, their events and datasets at rest. Every method blocks, and is one transaction.

    Raises:
        NotReady: from any of them, the database does not answer.
    """

    def add_dataset(self, dataset: Dataset) -> Dataset:
        """Store it, or return the one with the same id that is there already."""

    def replace_dataset(self, dataset: Dataset, lost_file: str) -> Dataset:
        """Store it in the place of the one with the same id whose content is lost, or return what is there, if that is
        not that one any more.
        """

    def dataset(self, dataset_id: str) -> Dataset:
        """Raises: DatasetNotFound."""

    def datasets(self) -> Sequence[Dataset]:
        """All, newest first."""

    def delete_dataset(self, dataset_id: str) -> Dataset:
        """Returns what was deleted. Raises: DatasetNotFound; Conflict when a job that is not ended needs it."""

    def add_job(self, job: Job, event: JobEvent, idempotency_key: str | None) -> Job:
        """Store a new job with its first event; with a key seen before, return that key's job instead.

        Raises:
            Conflict: the key was used for a different request.
            DatasetNotFound: its dataset is gone.
        """

    def job_of_key(self, idempotency_key: str) -> Job | None:
        """The job that was asked for under this key, if one was."""

    def job(self, job_id: str) -> Job:
        """Raises: JobNotFound."""

    def jobs(self, state: JobState | None, head: str | None, after: str | None, limit: int) -> Sequence[Job]:
        """Newest first, those created before the job ``after``. Raises: JobNotFound, there is no job ``after``."""

    def events(self, job_id: str, after_seq: int, limit: int) -> Sequence[JobEvent]:
        """In order, those with a greater ``seq``. Raises: JobNotFound."""

    def last_seq(self, job_id: str) -> int:
        """The ``seq`` of the newest event. Raises: JobNotFound."""

    def claim(self, owner: str, now: float) -> Job | None:
        """Take the oldest queued job whose pause, if it has one, is over, for ``owner``, and move it to VALIDATING,
        attempt + 1; None when none waits.
        """

    def move(self, move: Move, *, owner: str | None = None, unheard_since: float | None = None) -> Job:
        """Store a move together with its event, if the stored job is still in the state it moves from and, where they
        are given, still that owner's, and its owner not heard of since. Whether a cancel was asked for is not the
        move's to say, and stays as it is stored.

        Raises:
            Conflict: it is not; nothing was changed.
            JobNotFound: there is no such job.
        """

    def progress(self, job_id: str, owner: str, phase: str, percent: float, eta_s: float | None) -> None:
        """Note how far a job is. Does nothing when it is no longer that owner's."""

    def append(self, event: JobEvent, owner: str) -> JobEvent:
        """Add an event that moves nothing. Raises: Conflict, the job is no longer that owner's."""

    def beat(self, job_id: str, owner: str, now: float) -> Job | None:
        """Renew the owner's hold and return the job as it is stored; None when it is no longer that owner's."""

    def request_cancel(self, job_id: str, event: JobEvent) -> Job:
        """Note that a cancel was asked for; on a job that has ended, or when asked before, nothing changes.

        Raises:
            JobNotFound: there is no such job.
        """

    def counts(self) -> Mapping[JobState, int]:
        """How many jobs there are in each state that is not an end; states without any may be left out."""

    def lost(self, stale_before: float) -> Sequence[Job]:
        """Active jobs whose owner has not been heard of since ``stale_before``."""


@dataclass(frozen=True, slots=True)
class TrainerTask:
    """All the trainer is told: where to read, where to write, what to make."""

    job_id: str
    head: str
    base_model: str
    base_version: int
    base_directory: Path
    dataset_file: Path
    dataset: Dataset
    repository: Path
    recipe: Mapping[str, Any]
    current: Path | None = None
    """The head's version that answers now, to be compared with."""


class TrainerRun(Protocol):
    """One trainer at work."""

    def events(self) -> AsyncIterator[TrainerEvent]:
        """What it says, until it ends."""

    async def ended(self) -> int:
        """Wait until the trainer *and every process it started* are gone; its exit status, negative for a signal."""

    async def stop(self, grace_s: float) -> None:
        """Ask it to end, and make it after ``grace_s`` seconds; returns when its whole process group is gone."""

    def log_tail(self) -> str:
        """The last lines it wrote to its log, for an error's details."""


class Trainer(Protocol):
    """Starts trainers. A job has at most one at work, however many services believe they own it."""

    async def start(self, task: TrainerTask) -> TrainerRun:
        """Start one, after ``reap``. When the caller is cancelled meanwhile, nothing is left running.

        Raises:
            ModelFailed: it cannot be started.
        """

    async def reap(self, job_id: str) -> None:
        """Wait until an earlier trainer of this job, of a service that was killed, is gone; make it go if it stays.

        Raises:
            ModelFailed: one is there still, and it cannot be told which process it is.
        """

    def discard(self, job_id: str) -> None:
        """Remove what an ended job left in the work area. Blocks."""

    def left_behind(self) -> Collection[str]:
        """The jobs that have something in the work area. Blocks."""


class TuningObserver(Protocol):
    """Told what happened while tuning."""

    def job_moved(self, state: JobState) -> None:
        """A job entered this state."""

    def job_ended(self, state: JobState, seconds: float) -> None:
        """A job reached a terminal state, seconds after it was created."""

    def jobs_counted(self, counts: Mapping[JobState, int]) -> None:
        """How many jobs wait and run now, whoever runs them; a state left out has none. Told again and again."""

    def dataset_checked(self, accepted: bool, size_bytes: int, seconds: float) -> None:
        """An upload was looked at."""


class LiveModels(Protocol):
    """The little that tuning asks about what is served: it reaches models through the directory alone."""

    def live_listing(self, model: str) -> Listing | None:
        """The newest live version of a model that Graft published, with its manifest; None when there is none."""

    def listings(self, model: str) -> Sequence[Listing]:
        """Every version of a model that the repository was last seen to hold, live or not, whoever made it."""


class Clock(Protocol):
    """Time, injected so that tests need not wait for it."""

    def now(self) -> float:
        """Seconds since the epoch."""

    def monotonic(self) -> float:
        """Seconds that never go back."""

    async def sleep(self, seconds: float) -> None:
        """Wait."""
