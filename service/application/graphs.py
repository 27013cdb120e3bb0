"""Loaded graphs, each in memory once however many versions use it: the base of a thousand heads is one graph.

A graph is named by the digest of its version, counted, and freed with its last user. What is learned of it once, which
signatures are warm and which may be batched, holds for all who share it. Everything here blocks and is called off the
event loop.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from service.application.batching import Batcher
from service.application.lanes import Lanes
from service.application.ports import BatchingRules, Engine, Graph, ServingObserver
from service.application.warming import measured_runs, warm
from service.domain.batches import BatchLimits
from service.domain.errors import ServiceError
from service.domain.shares import Shares
from service.domain.tensors import NUMPY_TYPES, Array, Signature, Tensors, farthest

ENGINE_TOLERANCE = 1e-3
"""How far two runs of one row may lie apart, as a share of the outputs' spread, and still count as the same answer."""
_UNKNOWN_SIZE = 4
"""What a free inner dimension becomes in generated inputs."""


@dataclass(eq=False)
class SharedGraph:
    """A graph in memory, and the batchers that run it."""

    key: str
    graph: Graph
    batchers: Mapping[str, Batcher]
    users: int = 0
    warm: set[str] = field(default_factory=set)

    def warm_up(self, signature: str, example: Tensors | None) -> None:
        """Run a signature at every size that its limits say to warm, so that no request pays for a first time, and
        measure which is best, where that is to be found out.

        Without an example one is generated; a signature that generated inputs do not suit is left as it is.
        """
        if signature in self.warm:
            return
        rows = example or generated_rows(self.graph.signatures[signature], 1)
        if rows is not None:
            try:
                self._run_at_every_size(signature, rows)
            except ServiceError:
                if example is not None:
                    raise
        self.warm.add(signature)

    def _run_at_every_size(self, signature: str, rows: Tensors) -> None:
        batcher, run = self.batchers[signature], _bound(self.graph, signature)
        if not batcher.together:
            run(rows)
            return
        seconds: Mapping[int, float] = {}
        if batcher.limits.measured:
            seconds = measured_runs(run, rows, batcher.limits.max_rows)
            batcher.measured(seconds)
        warm(run, rows, (size for size in batcher.limits.warm_sizes() if size not in seconds))


class SharedGraphs:
    """All graphs in memory. Thread-safe; two loads of one graph become one."""

    def __init__(
        self,
        engine: Engine,
        lanes: Lanes,
        limits: BatchLimits,
        observer: ServingObserver,
        rules: BatchingRules | None = None,
        *,
        max_waiting_bytes: int = sys.maxsize,
    ) -> None:
        """``limits`` hold for every graph that ``rules`` have no others for; the bytes of requests under way are
        bounded for all of them together.
        """
        self._engine, self._lanes, self._limits, self._observer = engine, lanes, limits, observer
        self._rules, self._room = rules, Shares(max_waiting_bytes)
        self._graphs: dict[str, SharedGraph] = {}
        self._busy: set[str] = set()
        """Graphs being loaded or freed just now; whoever wants one of them waits."""
        self._changed = threading.Condition()

    def has(self, key: str) -> bool:
        """Whether the graph of this name is in memory now."""
        return key in self._graphs

    def acquire_loaded(self, key: str) -> SharedGraph | None:
        """The graph of this name if it is in memory, counted until ``release``; else None."""
        with self._changed:
            shared = self._graphs.get(key)
            if shared is not None:
                shared.users += 1
            return shared

    def acquire(self, key: str, directory: Path, *, published: bool) -> SharedGraph:
        """The graph of this name, loaded from ``directory`` if it is not in memory; counted until ``release``.

        ``published`` says that Graft wrote it, so that signatures on strings, which cannot be probed with generated
        rows, are known to treat each row by itself.

        Raises:
            ModelFailed: it cannot be loaded.
        """
        with self._changed:
            self._changed.wait_for(lambda: key not in self._busy)
            held = self.acquire_loaded(key)
            if held is not None:
                return held
            self._busy.add(key)
        try:
            shared = self._load(key, directory, published)
            with self._changed:
                self._graphs[key] = shared
            return shared
        finally:
            self._no_longer_busy(key)

    def release(self, shared: SharedGraph) -> None:
        """One user fewer; the last one frees it, once the runs whose callers have left are over."""
        with self._changed:
            shared.users -= 1
            if shared.users:
                return
            del self._graphs[shared.key]
            self._busy.add(shared.key)
        try:
            for batcher in shared.batchers.values():
                batcher.wait_until_idle()
            shared.graph.close()
            self._observer.graph_freed(shared.key)
        finally:
            self._no_longer_busy(shared.key)

    def _no_longer_busy(self, key: str) -> None:
        with self._changed:
            self._busy.discard(key)
            self._changed.notify_all()

    def _load(self, key: str, directory: Path, published: bool) -> SharedGraph:
        begun = time.monotonic()
        limits = (self._rules.limits(directory) if self._rules else None) or self._limits
        graph = self._attempt(directory)
        try:
            batchers = {
                name: Batcher(
                    key,
                    name,
                    _bound(graph, name),
                    together=_rows_are_independent(graph, name, signature, published),
                    lanes=self._lanes,
                    limits=limits,
                    observer=self._observer,
                    room=self._room,
                    steady=_is_steady(graph, name),
                )
                for name, signature in graph.signatures.items()
            }
        except BaseException:
            graph.close()
            raise
        self._observer.graph_loaded(key, time.monotonic() - begun)
        self._observer.engines_chosen(key, graph.choices)
        return SharedGraph(key, graph, batchers, users=1)

    def _attempt(self, directory: Path) -> Graph:
        begun, loaded = time.monotonic(), False
        try:
            graph = self._engine.load(directory)
            loaded = True
            return graph
        finally:
            self._observer.load_attempted(directory, loaded, time.monotonic() - begun)


def _bound(graph: Graph, name: str) -> Callable[[Tensors], dict[str, Array]]:
    return lambda inputs: graph.run(name, inputs)


def _is_steady(graph: Graph, name: str) -> bool:
    """Whether how long a run takes follows from its number of rows alone."""
    choice = graph.choices.get(name)
    sizes = [size for spec in graph.signatures[name].inputs.values() for size in (spec.shape or (None, None))[1:]]
    return choice is not None and choice.steady and None not in sizes


def _rows_are_independent(graph: Graph, name: str, signature: Signature, published: bool) -> bool:
    """Whether requests may share a run of this signature: only if rows together give what each gives alone.

    A free first dimension is no proof: a model may normalise over it, or draw random numbers.
    """
    if not signature.batched:
        return False
    rows = generated_rows(signature, 3)
    if rows is None:
        return published
    try:
        together = graph.run(name, rows)
        alone = [graph.run(name, {alias: array[i : i + 1] for alias, array in rows.items()}) for i in range(3)]
    except ServiceError:
        return False
    return all(
        array.ndim > 0
        and array.shape[0] == 3
        and all(each[alias].shape == array[i : i + 1].shape for i, each in enumerate(alone))
        and farthest(array, np.concatenate([each[alias] for each in alone])) <= ENGINE_TOLERANCE
        for alias, array in together.items()
    )


def generated_rows(signature: Signature, count: int) -> dict[str, Array] | None:
    """``count`` rows a signature might take, not all alike, the same each time; None where strings or complex numbers
    make a guess pointless or a rank is unknown. A first dimension that is fixed stays as it is.
    """
    rng = np.random.default_rng(0)
    rows: dict[str, Array] = {}
    for alias, spec in signature.inputs.items():
        dtype = NUMPY_TYPES.get(spec.dtype)
        if dtype is None or dtype.kind not in "fiub" or not spec.shape:
            return None
        sizes = (_UNKNOWN_SIZE if size is None else size for size in spec.shape[1:])
        shape = (count if spec.shape[0] is None else spec.shape[0], *sizes)
        if dtype.kind == "f":
            rows[alias] = rng.random(shape).astype(dtype)
        else:
            drawn = rng.integers(0, 2, shape)
            # Few numbers to draw from: rows drawn alike would hide what a model does across its batch.
            if drawn.size:
                drawn.reshape(shape[0], -1)[:, 0] = np.arange(shape[0]) % 2
            rows[alias] = drawn.astype(dtype)
    return rows or None
