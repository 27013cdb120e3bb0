"""From a directory to a version that can answer: whole files, a loaded graph, the golden pair reproduced, every batch
size warm, its own warm-up requests answered. Everything here blocks, runs on a loader's thread, and leaves nothing
behind when it fails.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from weakref import WeakKeyDictionary

from service.application.grafts import Grafts, HeadEndpoints, fingerprint
from service.application.graphs import SharedGraph, SharedGraphs
from service.application.online import Endpoint, Online
from service.application.ports import Engine, GoldenPair, Graph, Listing, Repository, Request, ServingObserver, WarmUp
from service.domain.artifact import GOLDEN, Manifest, ModelKind
from service.domain.errors import ModelFailed, ServiceError
from service.domain.tensors import DEFAULT_SIGNATURE, Tensors, farthest

Bases = Mapping[str, Listing]
"""The versions that offer features, by digest."""
_IN_ONE_GO_S = 0.02


class Loader:
    """Prepares versions. Thread-safe."""

    def __init__(
        self,
        repository: Repository,
        engine: Engine,
        graphs: SharedGraphs,
        observer: ServingObserver,
        warm_up: WarmUp | None = None,
        *,
        rounds: int = 1,
    ) -> None:
        """``warm_up`` gives requests that a version has to answer, so many ``rounds`` each, before it is live."""
        self._repository, self._engine, self._graphs, self._observer = repository, engine, graphs, observer
        self._warm_up, self._rounds = warm_up, rounds
        self._grafts: WeakKeyDictionary[SharedGraph, Grafts] = WeakKeyDictionary()
        self._lock = threading.Lock()

    def prepare_some(self, listings: Sequence[Listing], bases: Bases) -> Sequence[Online | Exception]:
        """What came of the first of these versions: of as many as could be prepared in a few milliseconds, at least
        of one.
        """
        outcomes: list[Online | Exception] = []
        end = time.monotonic() + _IN_ONE_GO_S
        for listing in listings:
            try:
                outcomes.append(self.prepare(listing, bases))
            except Exception as error:  # noqa: BLE001 - whatever breaks a load is that version's, and must stay there
                outcomes.append(error)
            if time.monotonic() >= end:
                break
        return outcomes

    def is_graft(self, listing: Listing) -> bool:
        """Whether all that is left to do for a version is to put a head on a graph that is in memory."""
        base = listing.manifest.base if listing.manifest is not None else None
        return base is not None and any(map(self._graphs.has, _graphs_with(base.digest)))

    def prepare(self, listing: Listing, bases: Bases) -> Online:
        """Make a version able to answer. ``bases`` are the versions that offer features, by digest.

        Raises:
            ModelFailed: it cannot; the text says why.
        """
        if listing.problem:
            raise ModelFailed(listing.problem)
        manifest = listing.manifest
        if manifest is not None and manifest.kind is ModelKind.HEAD:
            return self._prepare_head(listing, manifest, bases)
        self._refuse_damage(listing)
        key = manifest.digest if manifest else f"plain:{listing.id}:{listing.stamp}"
        with self._held(self._graphs.acquire(key, listing.directory, published=manifest is not None)) as shared:
            endpoints = {
                name: Endpoint(signature, name, shared.batchers[name], dict)
                for name, signature in shared.graph.signatures.items()
            }
            self._check(listing, shared, endpoints)
        return Online(listing, endpoints, shared)

    def _prepare_head(self, listing: Listing, manifest: Manifest, bases: Bases) -> Online:
        """A head answers by its base's graph and its own numbers: what else lies in its directory is not looked at."""
        with self._held(self._base_graph(listing, manifest, bases)) as shared:
            grafts = self._grafts_of(shared)
            head = self._repository.head(listing)
            own = None if manifest.thin else partial(self._engine.signatures, listing.directory)
            endpoints = grafts.endpoints(manifest, head, own)
            self._check_head(listing, manifest, shared, grafts, endpoints, bases)
        return Online(listing, endpoints, shared)

    @contextmanager
    def _held(self, shared: SharedGraph) -> Iterator[SharedGraph]:
        """A graph that is given back when the version it was for does not come to be."""
        try:
            yield shared
        except BaseException:
            self._graphs.release(shared)
            raise

    def _grafts_of(self, shared: SharedGraph) -> Grafts:
        with self._lock:
            grafts = self._grafts.get(shared)
            if grafts is None:
                grafts = self._grafts[shared] = Grafts(shared)
            return grafts

    def release(self, online: Online) -> None:
        """Free what a version held that nobody else holds."""
        self._graphs.release(online.shared)

    def _refuse_damage(self, listing: Listing) -> None:
        damage = self._repository.damage(listing)
        if damage:
            raise ModelFailed(damage)

    def _base_graph(self, listing: Listing, manifest: Manifest, bases: Bases) -> SharedGraph:
        """The graph of a head's base: in memory already, or from the base's own version, or, when that is gone or no
        longer whole, from a complete head's own copy of it, which then serves all heads of this base that come the
        same way.
        """
        assert manifest.base is not None
        digest, copy = _graphs_with(manifest.base.digest)
        shared = self._graphs.acquire_loaded(digest)
        if shared is not None:
            return shared
        base = bases.get(digest)
        damage = self._repository.damage(base) if base is not None else "it is not in the repository"
        if base is not None and not damage:
            return self._graphs.acquire(digest, base.directory, published=True)
        if manifest.thin:
            wanted = f"{manifest.base.model}@{manifest.base.version}, digest {digest[:12]}"
            raise ModelFailed(f"a thin head answers by its base {wanted}, which cannot be used: {damage}")
        shared = self._graphs.acquire_loaded(copy)
        if shared is None:
            self._refuse_damage(listing)
            shared = self._graphs.acquire(copy, listing.directory, published=True)
        return shared

    def _check_head(
        self,
        listing: Listing,
        manifest: Manifest,
        shared: SharedGraph,
        grafts: Grafts,
        endpoints: HeadEndpoints,
        bases: Bases,
    ) -> None:
        """Reproduce the golden pair from features that other heads with the same inputs may have had computed."""
        golden = self._repository.golden(listing)
        if golden is not None:
            inputs = partial(self._golden_inputs, golden, manifest, bases)
            _reproduce(
                golden,
                shared.graph,
                endpoints,
                lambda runs: grafts.features(runs, golden.of_base or fingerprint(golden.inputs), inputs),
            )
            if golden.inputs:
                shared.warm_up(endpoints[golden.signature].runs, golden.inputs)
        if DEFAULT_SIGNATURE in endpoints:
            shared.warm_up(endpoints[DEFAULT_SIGNATURE].runs, None)
        self._replay(listing, shared, endpoints)

    def _golden_inputs(self, golden: GoldenPair, manifest: Manifest, bases: Bases) -> Tensors:
        """The inputs of a golden pair: its own or, of a thin head, its base's."""
        if golden.of_base is None:
            return golden.inputs
        assert manifest.base is not None
        base = bases.get(manifest.base.digest)
        known = (
            base is not None and base.manifest is not None and base.manifest.files.get(str(GOLDEN)) == golden.of_base
        )
        pair = self._repository.golden(base) if base is not None and known else None
        if pair is None or pair.signature != golden.signature:
            raise ModelFailed(
                "its golden pair is for inputs that are not, or no longer, those of its base's golden pair"
            )
        return pair.inputs

    def _check(self, listing: Listing, shared: SharedGraph, endpoints: Mapping[str, Endpoint]) -> None:
        """Reproduce the golden pair the way requests will be answered, then warm every batch size."""
        golden = self._repository.golden(listing)
        if golden is not None:
            _reproduce(golden, shared.graph, endpoints, lambda runs: shared.graph.run(runs, golden.inputs))
        for name, endpoint in endpoints.items():
            example = golden.inputs if golden is not None and golden.signature == name else None
            if example is not None or name == DEFAULT_SIGNATURE:
                shared.warm_up(endpoint.runs, example)
        self._replay(listing, shared, endpoints)

    def _replay(self, listing: Listing, shared: SharedGraph, endpoints: Mapping[str, Endpoint]) -> None:
        """Answer the requests that the version brings along, as requests are answered; one that fails, fails it."""
        if self._warm_up is None or not self._rounds:
            return
        begun, records, answered = time.monotonic(), 0, False
        try:
            signatures = {name: endpoint.signature for name, endpoint in endpoints.items()}
            for records, request in enumerate(self._warm_up.requests(listing.directory, signatures), start=1):
                for _ in range(self._rounds):
                    _answer(request, records, shared, endpoints)
            answered = True
        finally:
            if records or not answered:
                self._observer.warmed_up(listing.directory, records, answered, time.monotonic() - begun)


def _graphs_with(base: str) -> tuple[str, str]:
    """The names of the graphs with a base's features: the base's own, and a complete head's copy of it."""
    return base, f"features-of:{base}"


def _answer(request: Request, number: int, shared: SharedGraph, endpoints: Mapping[str, Endpoint]) -> None:
    endpoint = endpoints.get(request.signature)
    if endpoint is None:
        raise ModelFailed(f"warm-up record {number} is for signature {request.signature!r}, which there is not")
    try:
        endpoint.signature.check(request.inputs)
        endpoint.finish(shared.graph.run(endpoint.runs, request.inputs))
    except (ServiceError, KeyError, ValueError) as error:
        raise ModelFailed(f"warm-up record {number} failed: {error}") from error


def _reproduce(
    golden: GoldenPair, graph: Graph, endpoints: Mapping[str, Endpoint], run: Callable[[str], Tensors]
) -> None:
    """Hold a golden pair against what ``run`` gives for its inputs, by the graph's signature."""
    endpoint = endpoints.get(golden.signature)
    if endpoint is None:
        raise ModelFailed(f"the golden pair is for signature {golden.signature!r}, which there is not")
    if not golden.outputs or any(array.size == 0 for array in golden.inputs.values()):
        raise ModelFailed("the golden pair is empty, and so proves nothing")
    try:
        if golden.of_base is None:
            endpoint.signature.check(golden.inputs)
        actual = endpoint.finish(run(endpoint.runs))
    except (ServiceError, KeyError, ValueError) as error:
        raise ModelFailed(f"the golden pair could not be run: {error}") from error
    for alias, expected in golden.outputs.items():
        if alias not in actual:
            raise ModelFailed(f"the golden pair expects output {alias!r}, which there is not")
        gap, allowed = farthest(expected, actual[alias]), graph.choices[endpoint.runs].tolerance
        if gap > allowed:
            raise ModelFailed(
                f"the golden pair is not reproduced: output {alias!r} is off by {gap:.2g} of its spread, "
                f"and {allowed:g} is allowed; the files are not what was published"
            )
