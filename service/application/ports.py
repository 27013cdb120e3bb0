"""What the application needs from outside, each as small as it can be. Adapters implement these; tests fake them.

Ports that a thread waits in are plain methods and say so; the application calls them off the event loop.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from service.domain.announcements import Announcement
from service.domain.artifact import Manifest
from service.domain.batches import BatchLimits
from service.domain.dataset import Dataset, DatasetFormat, DatasetReport, Extended
from service.domain.direction import Direction
from service.domain.engines import EngineChoice
from service.domain.heads import Head
from service.domain.jobs import Job, JobEvent, JobState, Move
from service.domain.on_success import OnSuccess
from service.domain.progress import TrainerEvent
from service.domain.sample import SampleWish
from service.domain.serving_config import ServingConfig
from service.domain.tensors import Array, Signature, Tensors
from service.domain.uploads import Part, Upload
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
    provisional: bool = False
    """Nobody published it: it answers for as long as nothing that was published does."""


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


class StoreObserver(Protocol):
    """Told how a directory is kept as a store of versions is. From any thread."""

    def store_looked(self, reachable: bool, seconds: float) -> None:
        """The store was looked at, or could not be."""

    def version_fetched(self, version: VersionId, size_bytes: int, seconds: float) -> None:
        """A version was brought in."""

    def version_refused(self, version: VersionId) -> None:
        """What the store holds of a version is not what was published."""

    def cache_held(self, versions: int, size_bytes: int) -> None:
        """So much is in the directory now. Told again and again."""


# --- Tuning -----------------------------------------------------------------------------------------------------------


class DatasetChecker(Protocol):
    """Looks at labelled data with the trainer's own eyes, and stops looking when its caller is cancelled."""

    async def check(
        self,
        file: Path,
        format: DatasetFormat | None,
        options: Mapping[str, str],
        sample: SampleWish | None = None,
    ) -> DatasetReport:
        """What is in the file, and everything wrong with it. Of data without faults some items, as a base takes them,
        are written where a ``sample`` is wished for, if they are of classes.

        Raises:
            ModelFailed: the check itself broke.
        """

    async def extend(
        self,
        old: Path,
        dataset: Dataset,
        new: Path,
        format: DatasetFormat | None,
        options: Mapping[str, str],
        into: Path,
    ) -> Extended:
        """Write into a file what ``dataset``, whose content is ``old``, and the file ``new`` hold together; nothing
        where the report tells faults.

        Raises:
            ModelFailed: it broke.
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


class SharedFiles(Protocol):
    """Files that lie where an operator said that they may be referred to."""

    def copy(self, reference: str, into: Path, most_bytes: int, wanted: Callable[[], bool]) -> None:
        """Copy the file of this name, unless it stops being ``wanted`` on the way. Blocks.

        Raises:
            InvalidInput: there is no such plain file.
            UploadTooLarge: it is larger than ``most_bytes``.
            Conflict: it was changed meanwhile.
            NoRoom: there is no room for it.
        """


class PartWriter(Protocol):
    """Where one part of an upload is written. Every method blocks."""

    def write(self, data: bytes | bytearray) -> None:
        """The next bytes. Raises: NoRoom."""

    @property
    def part(self) -> Part:
        """What has been written so far."""

    def keep(self, at: float) -> None:
        """From now on the part is there, whatever dies when. Without this it was never written."""


class UploadStore(Protocol):
    """Uploads in parts at rest, on this machine: any process on it may take any part. Every method blocks.

    Raises:
        UploadNotFound: from any that names an upload: there is none.
        NoRoom: from any that writes.
    """

    def add(self, upload: Upload, admit: Callable[[Sequence[Upload], int], None]) -> None:
        """Begin an upload. ``admit`` sees all that are there and the bytes that nobody has been promised, while no
        other can begin, and refuses by raising.
        """

    def upload(self, id: str) -> Upload:
        """As it is now."""

    def uploads(self) -> Sequence[Upload]:
        """All of them."""

    def receive(self, upload: Upload, number: int, most_bytes: int) -> AbstractContextManager[PartWriter]:
        """Where to write a part. Raises: Overloaded, somebody else is writing it, or the whole is being used."""

    def whole(self, id: str) -> AbstractContextManager[Path]:
        """The file, for the length of the block, in which nobody else changes it; it may be moved away. Raises:
        Overloaded, parts are still being written.
        """

    def seal(self, id: str, size: int, at: float) -> None:
        """All parts are there, ``size`` bytes; what lies beyond was written in vain. Inside ``whole``."""

    def finish(self, id: str, dataset_id: str, at: float) -> None:
        """It has become this dataset; the bytes go. Inside ``whole``."""

    def discard(self, id: str) -> None:
        """Remove it. Raises: Overloaded, parts are being written."""

    def sweep(self) -> int:
        """Remove what dead processes left half made or half removed. Says how many."""


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

    def unused_datasets(self, created_before: float) -> Sequence[Dataset]:
        """Those of before that no job names, ended or not; oldest first."""

    def forget_dataset(self, dataset: Dataset) -> bool:
        """Delete it, unless a job names it meanwhile, or it is another by now; whether it was deleted."""

    def add_job(self, job: Job, event: JobEvent, idempotency_key: str | None) -> Job:
        """Store a new job with its first event; with a key seen before, return that key's job instead.

        Raises:
            Conflict: the key was used for a different request.
            DatasetNotFound: its dataset is gone.
        """

    def job_of_key(self, idempotency_key: str) -> Job | None:
        """The job that was asked for under this key, if one was."""

    def made_of(self, head: str, base: str, dataset_id: str, most: int) -> Sequence[Job]:
        """The newest jobs that made a version of this head from these."""

    def job(self, job_id: str) -> Job:
        """Raises: JobNotFound."""

    def jobs(self, state: JobState | None, head: str | None, after: str | None, limit: int) -> Sequence[Job]:
        """Newest first, those created before the job ``after``. Raises: JobNotFound, there is no job ``after``."""

    def events(self, job_id: str, after_seq: int, limit: int) -> Sequence[JobEvent]:
        """In order, those with a greater ``seq``. Raises: JobNotFound."""

    def last_seq(self, job_id: str) -> int:
        """The ``seq`` of the newest event. Raises: JobNotFound."""

    def claim(self, owner: str, now: float) -> Job | None:
        """Take the queued job whose turn it is (``job_queue``), of those whose pause, if they have one, is over, for
        ``owner``, and move it to VALIDATING, attempt + 1; None when none waits.
        """

    def queue(self, now: float) -> Sequence[str]:
        """The jobs that could be claimed, in the order in which they will be."""

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

    def ended_jobs(self, before: float, after: Job | None, most: int) -> Sequence[Job]:
        """Jobs that ended before then, the longest ended first, from the one that follows ``after`` on."""

    def forget_jobs(self, ids: Collection[str]) -> int:
        """Delete these jobs, if they have ended, with their events; how many there were."""

    def counts(self) -> Mapping[JobState, int]:
        """How many jobs there are in each state that is not an end; states without any may be left out."""

    def lost(self, stale_before: float) -> Sequence[Job]:
        """Active jobs whose owner has not been heard of since ``stale_before``."""


class Outbox(Protocol):
    """Ends of jobs that are still to be told, put there as they are stored. Every method blocks.

    Raises:
        NotReady: from any of them, the database does not answer.
    """

    def take(self, now: float, until: float, most: int) -> Sequence[Announcement]:
        """Those that are due, the longest waiting first; whoever takes one has it to himself ``until`` then."""

    def put_off(self, announcement: Announcement, until: float) -> None:
        """Have it due again then."""

    def drop(self, announcement: Announcement) -> None:
        """It is dealt with."""


class Listener(Protocol):
    """Who is told of the ends of jobs."""

    async def tell(self, announcement: Announcement) -> None:
        """Tell him; done in bounded time. Raises: Undelivered, he did not say that he heard."""


class AnnouncementObserver(Protocol):
    """Told what became of telling others."""

    def announced(self, outcome: str) -> None:
        """An attempt was made: ``delivered``, ``failed``, or ``given_up`` when it was the last one."""


@dataclass(frozen=True, slots=True)
class Features:
    """What a base made of some inputs."""

    by_cut: Mapping[str, NDArray[np.float32]]
    """[n, D] each."""
    signatures: Collection[str]
    """All that the base offers."""


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
    outbox: Path | None = None
    """Where to publish, when that is not in the repository."""


class TrainerRun(Protocol):
    """One trainer at work."""

    def events(self) -> AsyncIterator[TrainerEvent]:
        """What it says, until it ends."""

    async def ended(self) -> int:
        """Wait until the trainer *and every process it started* are gone; its exit status, negative for a signal."""

    async def stop(self, grace_s: float) -> None:
        """Ask it to end, and make it after ``grace_s`` seconds; returns when its whole process group is gone."""

    def memory_bytes(self) -> int:
        """What is resident in all its processes together; 0 when none is left. Blocks shortly."""

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


class VersionPublisher(Protocol):
    """What makes a version of what a trainer has published in its outbox. Every method blocks."""

    def outbox(self, job_id: str) -> Path | None:
        """Where the trainer of a job publishes; None where it does so in the repository itself."""

    def publish(self, job_id: str, model: str, version: int) -> int:
        """Let everyone see what the trainer published under this number; the number that it has for everyone. A job
        has one: asked again, after whatever kill, it is the same.

        Raises:
            NotReady: it cannot be done now.
        """

    def discard(self, job_id: str) -> None:
        """Remove what an ended job left in its outbox."""


class GoingLive(Protocol):
    """What becomes of the versions that jobs publish.

    Raises:
        NotReady: from either, what decides it does not answer now.
    """

    async def hold(self, model: str, by: str) -> object:
        """Let what answers now go on answering, whatever is published."""

    async def published(self, model: str, version: int, on_success: OnSuccess, by: str) -> object:
        """Do with a version what was asked for. To do it again changes nothing.

        Raises:
            Conflict: it cannot be done.
        """


class LiveBases(Protocol):
    """What bases that answer now make of inputs, and heads that come to stand on them."""

    async def features(self, base: str, digest: str, inputs: Array) -> Features:
        """Of inputs [n, ...], each time as few as disturb nobody.

        Raises:
            NotReady: this version of the base does not answer here now; Overloaded, ModelFailed: as any request.
        """

    async def taken_up(self, head: str) -> str | None:
        """Look at what there is now, and wait until the head answers; else why it does not. Bounded in time."""


class ProvisionalShelf(Protocol):
    """Where provisional heads lie, one a name at most, as version 0. Every method blocks."""

    def put(self, model: str, manifest: Manifest, head: Head, golden: GoldenPair) -> None:
        """Let it lie there, in the place of one that does. The manifest is complete but for digest and files.

        Raises:
            OSError: it cannot be written.
        """

    def held(self) -> Mapping[str, str]:
        """By name the job that each stands in for."""

    def remove(self, model: str) -> None:
        """Take it away, if it is there."""


class DirectionStore(Protocol):
    """Directions at rest. Every method blocks.

    Raises:
        NotReady: from any of them, the store does not answer.
    """

    def directions(self) -> Mapping[str, Direction]:
        """All, by model."""

    def direct(self, model: str, direction: Direction) -> None:
        """Store the one that follows from the one stored; revision 1 is the first.

        Raises:
            Conflict: another one was stored meanwhile.
        """


class DirectionObserver(Protocol):
    """Told what is seen of versions that are compared or on trial."""

    def compared(self, model: str, version: int, rows: int, differed: int) -> None:
        """So many rows were also given to this version, which decided differently on some."""

    def taken_back(self, model: str, version: int) -> None:
        """A canary went beyond its limits."""


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

    @property
    def looked(self) -> bool:
        """Whether the repository was read since the start: before, a model that is not listed may be there."""


class Clock(Protocol):
    """Time, injected so that tests need not wait for it."""

    def now(self) -> float:
        """Seconds since the epoch."""

    def monotonic(self) -> float:
        """Seconds that never go back."""

    async def sleep(self, seconds: float) -> None:
        """Wait."""
