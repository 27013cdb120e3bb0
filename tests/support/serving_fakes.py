"""Hand-written stand-ins for what the serving path needs from outside. The tests of the real engine and of the real
repository run their contracts over these too, so that they are not kinder or harsher than the truth.
"""

from __future__ import annotations

import asyncio
import heapq
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from service.application.graphs import SharedGraphs
from service.application.lanes import Lanes
from service.application.loading import Loader
from service.application.models import Models
from service.application.ports import GoldenPair, Listing
from service.application.predict import Predictor
from service.application.reloading import Reloads
from service.domain.artifact import SAVED_MODEL, BaseRef, InputKind, InputSpec, Manifest, ModelKind, Route
from service.domain.batches import BatchLimits
from service.domain.direction import Direction
from service.domain.engines import EngineChoice
from service.domain.errors import InvalidInput, ModelFailed
from service.domain.heads import AnswerForm, Head
from service.domain.serving_config import ServingConfig
from service.domain.tensors import Array, Signature, Tensors, TensorSpec, type_name
from service.domain.versions import VersionId

PATIENCE_S = 30.0
Function = Callable[[Tensors], dict[str, Array]]


class Gate:
    """A door that work stands before until a test opens it, or lets one pass."""

    def __init__(self) -> None:
        self._changed, self._arrivals = threading.Condition(), threading.Semaphore(0)
        self._opened, self._passes = False, 0

    def pass_through(self) -> None:
        self._arrivals.release()
        with self._changed:
            assert self._changed.wait_for(lambda: self._opened or self._passes, PATIENCE_S), "nobody opened the gate"
            self._passes -= not self._opened

    async def arrival(self) -> None:
        """Wait until one more stands before it."""
        arrived = await asyncio.to_thread(self._arrivals.acquire, timeout=PATIENCE_S)
        assert arrived, "nobody came to the gate"

    def open(self) -> None:
        with self._changed:
            self._opened = True
            self._changed.notify_all()

    def let_one_pass(self) -> None:
        with self._changed:
            self._passes += 1
            self._changed.notify()


def spec(alias: str, shape: tuple[int | None, ...] | None, dtype: str = "DT_FLOAT") -> TensorSpec:
    return TensorSpec(alias, dtype, shape, f"{alias}:0")


def signature(inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]) -> Signature:
    return Signature({one.alias: one for one in inputs}, {one.alias: one for one in outputs})


@dataclass
class FakeModel:
    """What a fake SavedModel holds: its signatures, and a function behind each."""

    signatures: Mapping[str, Signature]
    functions: Mapping[str, Function]
    broken: str | None = None
    """Why it cannot be loaded, if so."""
    load_gate: Gate | None = None
    run_gate: Gate | None = None


def scaling_model(factor: float = 2.0, width: int = 3) -> FakeModel:
    """``y = factor * x + 1`` row by row, under the default name and as a base's features."""
    x, y, f = spec("x", (None, width)), spec("y", (None, width)), spec("embedding", (None, width))

    def scaled(inputs: Tensors) -> Array:
        return (inputs["x"] * np.float32(factor) + np.float32(1)).astype(np.float32)

    return FakeModel(
        {"serving_default": signature([x], [y]), "features": signature([x], [f])},
        {
            "serving_default": lambda inputs: {"y": scaled(inputs)},
            "features": lambda inputs: {"embedding": scaled(inputs)},
        },
    )


class FakeGraph:
    """Runs a fake model's functions, and notes whether it was used as the port says."""

    engine = "fake"

    def __init__(self, model: FakeModel) -> None:
        self.signatures = model.signatures
        self.choices = {name: EngineChoice(self.engine, "there is no other") for name in self.signatures}
        self._model, self._lock, self._running = model, threading.Lock(), 0
        self.closed = False
        self.runs: list[tuple[str, int]] = []
        self.misuses: list[str] = []

    def run(self, signature: str, inputs: Tensors) -> dict[str, Array]:
        with self._lock:
            self._running += 1
            if self.closed:
                self.misuses.append(f"{signature} was run after close")
            rows = next((len(array) for array in inputs.values() if array.ndim), 0)
            self.runs.append((signature, rows))
        try:
            if self._model.run_gate is not None:
                self._model.run_gate.pass_through()
            _refuse_what_any_graph_would(self.signatures[signature], inputs)
            return self._model.functions[signature](inputs)
        finally:
            with self._lock:
                self._running -= 1

    def close(self) -> None:
        with self._lock:
            if self._running:
                self.misuses.append("closed while a run was under way")
            if self.closed:
                self.misuses.append("closed twice")
            self.closed = True


def _refuse_what_any_graph_would(signature: Signature, inputs: Tensors) -> None:
    """Other names or types. Not other shapes: a graph takes what its kernels happen to take."""
    if {alias: type_name(array) for alias, array in inputs.items()} != {
        a: one.dtype for a, one in signature.inputs.items()
    }:
        raise InvalidInput("these are not the names and types of the signature")


class FakeEngine:
    """Loads fake models by the directory they lie in."""

    def __init__(self) -> None:
        self.models: dict[Path, FakeModel] = {}
        self.loaded: list[tuple[Path, FakeGraph]] = []
        self._lock = threading.Lock()

    def signatures(self, directory: Path) -> Mapping[str, Signature]:
        return self._model(directory).signatures

    def load(self, directory: Path) -> FakeGraph:
        model = self._model(directory)
        if model.load_gate is not None:
            model.load_gate.pass_through()
        if model.broken is not None:
            raise ModelFailed(model.broken)
        graph = FakeGraph(model)
        with self._lock:
            self.loaded.append((directory, graph))
        return graph

    def _model(self, directory: Path) -> FakeModel:
        model = self.models.get(directory)
        if model is None:
            raise ModelFailed(f"there is no SavedModel in {directory}")
        return model

    @property
    def open_graphs(self) -> list[FakeGraph]:
        return [graph for _, graph in self.loaded if not graph.closed]

    @property
    def misuses(self) -> list[str]:
        return [misuse for _, graph in self.loaded for misuse in graph.misuses]


@dataclass
class Shelved:
    """All that a fake repository knows of one version."""

    listing: Listing
    head: Head | None = None
    golden: GoldenPair | None = None
    damage: str | None = None


class FakeRepository:
    """Versions in memory."""

    def __init__(self) -> None:
        self.versions: dict[VersionId, Shelved] = {}
        self.placed: dict[PurePath, dict[int, Listing]] = {}
        """Versions below base paths of their own."""
        self.unreachable = False
        self._found: dict[str, list[Listing]] = {}

    def put(
        self,
        model: str,
        version: int,
        manifest: Manifest | None = None,
        *,
        head: Head | None = None,
        golden: GoldenPair | None = None,
        damage: str | None = None,
        problem: str | None = None,
    ) -> Listing:
        """Put a version there, or a changed one in its place."""
        name = VersionId(model, version)
        before = self.versions.get(name)
        stamp = str(int(before.listing.stamp) + 1) if before else "0"
        listing = Listing(name, Path("/fake") / model / str(version), stamp, manifest, problem)
        self.versions[name] = Shelved(listing, head, golden, damage)
        return listing

    def place(self, base_path: PurePath, version: int | None = None, problem: str | None = None) -> Listing | None:
        """Make a base path, and put a version into it, or a changed one in its place."""
        there = self.placed.setdefault(base_path, {})
        if version is None:
            return None
        before = int(there[version].stamp.rpartition("-")[2]) if version in there else 0
        stamp = f"{base_path}-{before + 1}"
        listing = Listing(VersionId("?", version), Path(base_path) / str(version), stamp, None, problem)
        there[version] = listing
        return listing

    def remove(self, model: str, version: int) -> None:
        del self.versions[VersionId(model, version)]

    def scan(self) -> Mapping[str, Sequence[Listing]]:
        if self.unreachable:
            raise OSError("the repository is gone")
        found: dict[str, list[Listing]] = {}
        for name in sorted(self.versions):
            found.setdefault(name.model, []).append(self.versions[name].listing)
        # As of the real one, what did not change is the same object.
        same = {name: known for name, known in self._found.items() if known == found.get(name)}
        if not len(same) == len(found) == len(self._found):
            self._found = {**found, **same}
        return self._found

    def list_versions(self, model: str, base_path: PurePath, before: Sequence[Listing]) -> Sequence[Listing]:
        if base_path not in self.placed:
            raise FileNotFoundError(str(base_path))
        return [replace(one, id=VersionId(model, number)) for number, one in sorted(self.placed[base_path].items())]

    def head(self, listing: Listing) -> Head:
        head = self._shelved(listing).head
        if head is None:
            raise ModelFailed("a head without weights")
        return head

    def golden(self, listing: Listing) -> GoldenPair | None:
        return self._shelved(listing).golden

    def damage(self, listing: Listing) -> str | None:
        return self._shelved(listing).damage

    def _shelved(self, listing: Listing) -> Shelved:
        if listing.directory.parent in self.placed:
            return Shelved(listing)
        return self.versions.get(listing.id, Shelved(listing, damage="it is gone"))


class FakeClock:
    """Time that moves when a test says so."""

    def __init__(self) -> None:
        self.time = 1000.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self.time + seconds, id(waiter), waiter))
        await waiter

    @property
    def asleep(self) -> int:
        """How many wait for time to pass."""
        return len(self._sleepers)

    def advance(self, seconds: float) -> None:
        self.time += seconds
        while self._sleepers and self._sleepers[0][0] <= self.time:
            waiter = heapq.heappop(self._sleepers)[2]
            if not waiter.done():
                waiter.set_result(None)


@dataclass
class RecordingObserver:
    """Remembers what it was told, in order. Thread-safe, as lists are."""

    events: list[tuple[Any, ...]] = field(default_factory=list)

    def began(self, door: str) -> None:
        self.events.append(("began", door))

    def answered(
        self,
        model: str,
        version: int | None,
        signature: str,
        door: str,
        outcome: str,
        seconds: float,
        api: str = "predict",
    ) -> None:
        self.events.append(("answered", model, version, signature, door, outcome))

    def batch_ran(
        self, graph: str, signature: str, rows: int, requests: int, waited: float, ran: float, filled: int = 0
    ) -> None:
        self.events.append(("batch_ran", graph, signature, rows, requests))

    def run_rows_chosen(self, graph: str, signature: str, rows: int) -> None:
        self.events.append(("run_rows_chosen", graph, signature))

    def runs_stuck(self, graph: str, signature: str, runs: int) -> None:
        self.events.append(("runs_stuck", graph, signature, runs))

    def graph_loaded(self, graph: str, seconds: float) -> None:
        self.events.append(("graph_loaded", graph))

    def engines_chosen(self, graph: str, choices: Mapping[str, EngineChoice]) -> None:
        self.events.append(("engines_chosen", graph, {name: choice.engine for name, choice in choices.items()}))

    def graph_freed(self, graph: str) -> None:
        self.events.append(("graph_freed", graph))

    def load_attempted(self, directory: Path, loaded: bool, seconds: float) -> None:
        self.events.append(("load_attempted", directory, loaded))

    def warmed_up(self, directory: Path, records: int, answered: bool, seconds: float) -> None:
        self.events.append(("warmed_up", directory, records, answered))

    def version_live(self, version: VersionId, kind: str, graph: str, seconds: float) -> None:
        self.events.append(("version_live", str(version), kind))

    def version_failed(self, version: VersionId, reason: str) -> None:
        self.events.append(("version_failed", str(version), reason))

    def version_gone(self, version: VersionId) -> None:
        self.events.append(("version_gone", str(version)))

    def named(self, *kinds: str) -> list[tuple[Any, ...]]:
        """Only the events of these kinds."""
        return [event for event in self.events if event[0] in kinds]

    def count(self, kind: str) -> int:
        return Counter(event[0] for event in self.events)[kind]


def base_manifest(digest: str, width: int = 3, labels: Sequence[str] = ("a", "b")) -> Manifest:
    return Manifest(
        kind=ModelKind.BASE,
        task="multiclass",
        labels=tuple(labels),
        input=InputSpec(InputKind.VECTOR, (width,), "x"),
        digest=digest,
        files={},
        features={"embedding": width},
    )


def head_manifest(
    digest: str,
    base_digest: str,
    labels: Sequence[str],
    *,
    cut: str = "embedding",
    via: str = "features",
    thin: bool = False,
) -> Manifest:
    return Manifest(
        kind=ModelKind.HEAD,
        task="multiclass",
        labels=tuple(labels),
        input=InputSpec(InputKind.VECTOR, (3,), "x"),
        digest=digest,
        files={} if thin else {str(SAVED_MODEL): f"the graph of {digest}"},
        base=BaseRef("base", 1, base_digest),
        cut=cut,
        routes={"serving_default": Route(via, AnswerForm.PREDICT)},
    )


def full_manifest(digest: str) -> Manifest:
    return replace(base_manifest(digest), kind=ModelKind.FULL, features={})


def head_of(labels: Sequence[str], width: int = 3, seed: int = 0) -> Head:
    rng = np.random.default_rng(seed)
    return Head(
        rng.standard_normal((len(labels), width)).astype(np.float32),
        rng.standard_normal(len(labels)).astype(np.float32),
        tuple(labels),
    )


def head_model(base: FakeModel, head: Head) -> FakeModel:
    """The complete SavedModel of a head: its own answers, and a copy of the base's features."""
    x = base.signatures["features"].inputs["x"]
    classes = len(head.labels)
    outputs = [
        spec("probabilities", (None, classes)),
        spec("classes", (None, min(5, classes)), "DT_STRING"),
        spec("scores", (None, min(5, classes))),
    ]
    return FakeModel(
        {"serving_default": signature([x], outputs), "features": base.signatures["features"]},
        {
            "serving_default": lambda inputs: head.answer(
                np.asarray(base.functions["features"](inputs)["embedding"]), AnswerForm.PREDICT
            ),
            "features": base.functions["features"],
        },
    )


class Bench:
    """The serving path whole, over fakes. For one event loop."""

    def __init__(
        self,
        *,
        keep: int = 1,
        required: Sequence[str] = (),
        limits: BatchLimits | None = None,
        config: ServingConfig | None = None,
    ) -> None:
        self.directions: dict[str, Direction] = {}
        self.point = 0.0
        """Where in their splits requests fall."""
        self.limits = limits or BatchLimits()
        self.repository, self.engine = FakeRepository(), FakeEngine()
        self.observer, self.clock = RecordingObserver(), FakeClock()
        self.lanes = Lanes(2)
        self.graphs = SharedGraphs(self.engine, self.lanes, self.limits, self.observer)
        self.loader = Loader(self.repository, self.engine, self.graphs, self.observer)
        self.models = Models(
            self.repository,
            self.loader,
            self.observer,
            self.clock,
            config=config,
            keep=keep,
            required=required,
            poll_s=1.0,
            directions=lambda: self.directions,
            draw=lambda: self.point,
        )
        self.reloads = Reloads(self.models, self.clock)
        self.predictor = Predictor(self.models, self.observer)

    def publish(self, model: str, version: int, content: FakeModel | None = None, **shelved: Any) -> Listing:
        """A version whose graph is ``content``."""
        listing = self.repository.put(model, version, **shelved)
        self.engine.models[listing.directory] = content or scaling_model()
        return listing

    def place(self, base_path: str, version: int, content: FakeModel | None = None, **placed: Any) -> Listing:
        """A version below a base path of its own."""
        listing = self.repository.place(PurePath(base_path), version, **placed)
        assert listing is not None
        self.engine.models[listing.directory] = content or scaling_model()
        return listing

    def publish_base(self, content: FakeModel | None = None, version: int = 1) -> Listing:
        return self.publish("base", version, content, manifest=base_manifest(f"base-{version}"))

    def publish_head(self, name: str, labels: Sequence[str], version: int = 1, **changes: Any) -> Head:
        """A complete head on the base's version 1."""
        head = head_of(labels, seed=version + sum(name.encode()))
        manifest = replace(head_manifest(f"{name}-{version}", "base-1", labels), **changes)
        self.publish(name, version, head_model(scaling_model(), head), manifest=manifest, head=head)
        return head

    def direct(self, model: str, direction: Direction) -> None:
        """Say which of a model's versions answers whom."""
        self.directions = {**self.directions, model: direction}

    async def look(self) -> None:
        """Look at the repository until nothing more follows from it."""
        await self.models.look()
        await self.models.settle()

    async def until(self, come_true: Callable[[], bool]) -> None:
        """Let the loop turn until this is so."""
        async with asyncio.timeout(PATIENCE_S):
            while not come_true():  # noqa: ASYNC110 - what is waited for announces itself nowhere
                await asyncio.sleep(0)

    async def close(self) -> None:
        await self.models.close()
        self.lanes.close()

    def live(self, model: str) -> list[int]:
        return [one.version for one in self.models.status(model) if one.state == "live"]

    def states(self, model: str) -> dict[int, str]:
        return {one.version: str(one.state) for one in self.models.status(model)}
