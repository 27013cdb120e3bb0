"""From a directory to a version that can answer: whole files, a loaded graph, the golden pair reproduced, every batch
size warm, its own warm-up requests answered. Everything here blocks, runs on a loader's thread, and leaves nothing
behind when it fails.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import partial

from service.application.batching import Finish
from service.application.graphs import ENGINE_TOLERANCE, SharedGraph, SharedGraphs
from service.application.online import Endpoint, Online
from service.application.ports import Engine, GoldenPair, Listing, Repository, Request, ServingObserver, WarmUp
from service.domain.artifact import Manifest, ModelKind
from service.domain.errors import ModelFailed, ServiceError
from service.domain.heads import AnswerForm, Head, cut_parts, features_at
from service.domain.tensors import DEFAULT_SIGNATURE, Array, Signature, Tensors, TensorSpec, farthest


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

    def prepare(self, listing: Listing, bases: Mapping[str, Listing]) -> Online:
        """Make a version able to answer. ``bases`` are the versions that offer features, by digest.

        Raises:
            ModelFailed: it cannot; the text says why.
        """
        if listing.problem:
            raise ModelFailed(listing.problem)
        self._refuse_damage(listing)
        manifest = listing.manifest
        if manifest is not None and manifest.kind is ModelKind.HEAD:
            head = self._repository.head(listing)
            signatures = self._engine.signatures(listing.directory)
            shared = self._base_graph(listing, manifest, bases)
        else:
            key = manifest.digest if manifest else f"plain:{listing.id}:{listing.stamp}"
            shared = self._graphs.acquire(key, listing.directory, published=manifest is not None)
            head, signatures = None, shared.graph.signatures
        try:
            endpoints = {
                name: _endpoint(name, signature, shared, head, manifest) for name, signature in signatures.items()
            }
            self._check(listing, shared, endpoints)
        except BaseException:
            self._graphs.release(shared)
            raise
        return Online(listing, endpoints, shared)

    def release(self, online: Online) -> None:
        """Free what a version held that nobody else holds."""
        self._graphs.release(online.shared)

    def _refuse_damage(self, listing: Listing) -> None:
        damage = self._repository.damage(listing)
        if damage:
            raise ModelFailed(damage)

    def _base_graph(self, listing: Listing, manifest: Manifest, bases: Mapping[str, Listing]) -> SharedGraph:
        """The graph of a head's base: in memory already, or from the base's own version, or, when that is gone or no
        longer whole, from the head's own copy of it, which then serves all heads of this base that come the same way.
        """
        assert manifest.base is not None
        digest = manifest.base.digest
        shared = self._graphs.acquire_loaded(digest)
        if shared is not None:
            return shared
        base = bases.get(digest)
        if base is None or self._repository.damage(base):
            return self._graphs.acquire(f"features-of:{digest}", listing.directory, published=True)
        return self._graphs.acquire(digest, base.directory, published=True)

    def _check(self, listing: Listing, shared: SharedGraph, endpoints: Mapping[str, Endpoint]) -> None:
        """Reproduce the golden pair the way requests will be answered, then warm every batch size."""
        golden = self._repository.golden(listing)
        if golden is not None:
            _reproduce(golden, shared, endpoints)
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


def _endpoint(
    name: str, signature: Signature, shared: SharedGraph, head: Head | None, manifest: Manifest | None
) -> Endpoint:
    """How one signature is answered: by the graph as it is or, for a head, by the base's features and its weights."""
    if head is None or manifest is None:
        return Endpoint(signature, name, shared.batchers[name], _as_is)
    route = manifest.routes.get(name)
    runs = route.via if route else name
    offered = shared.graph.signatures.get(runs)
    if offered is None:
        raise ModelFailed(f"signature {name!r} needs {runs!r}, which the base does not offer")
    if _wanted(signature) != _wanted(offered):
        raise ModelFailed(f"signature {name!r} and the base's {runs!r} do not take the same inputs")
    if route is not None:
        assert manifest.cut is not None, "a head's manifest has a cut"
        _check_cut(manifest.cut, head, runs, offered)
        if not head.reply.gives(route.form):
            raise ModelFailed(f"signature {name!r} is to {route.form}, which a head for {head.task} cannot")
        return Endpoint(signature, runs, shared.batchers[runs], _through(head, manifest.cut, route.form))
    if name not in {other.via for other in manifest.routes.values()}:
        # The base's answer under the head's name would look right and mean something else.
        raise ModelFailed(f"signature {name!r} has no route, and is none of the base's features")
    return Endpoint(signature, runs, shared.batchers[runs], _as_is)


def _wanted(signature: Signature) -> dict[str, tuple[str, tuple[int | None, ...] | None]]:
    return {alias: (spec.dtype, spec.shape) for alias, spec in signature.inputs.items()}


def _check_cut(cut: str, head: Head, runs: str, offered: Signature) -> None:
    """What no request could ever be answered with must not become live."""
    parts, width = cut_parts(cut, offered.outputs), head.weights.shape[1]
    if not all(part in offered.outputs for part in parts):
        raise ModelFailed(f"the head is for the cut {cut!r}, which the base's {runs!r} does not give")
    features = [offered.outputs[part] for part in parts]
    if not _are_wide(features, width):
        shapes = " and ".join(part.shape_text() for part in features)
        raise ModelFailed(f"the head takes {width} features, and the base's {cut!r} is {shapes}")


def _are_wide(features: Sequence[TensorSpec], width: int) -> bool:
    """Whether outputs, side by side, can be [n, width]; of several, one that does not say its width may have any."""
    if len(features) == 1:
        return features[0].accepts((1, width))
    sizes = [part.shape[1] if part.shape is not None and len(part.shape) == 2 else None for part in features]
    known = [size for size in sizes if size is not None]
    return len(known) < len(sizes) or sum(known) == width


def _as_is(outputs: Tensors) -> dict[str, Array]:
    return dict(outputs)


def _through(head: Head, cut: str, form: AnswerForm) -> Finish:
    return partial(_apply, head, cut, form)


def _apply(head: Head, cut: str, form: AnswerForm, features: Tensors) -> dict[str, Array]:
    return head.answer(features_at(features, cut), form)


def _answer(request: Request, number: int, shared: SharedGraph, endpoints: Mapping[str, Endpoint]) -> None:
    endpoint = endpoints.get(request.signature)
    if endpoint is None:
        raise ModelFailed(f"warm-up record {number} is for signature {request.signature!r}, which there is not")
    try:
        endpoint.signature.check(request.inputs)
        endpoint.finish(shared.graph.run(endpoint.runs, request.inputs))
    except (ServiceError, KeyError, ValueError) as error:
        raise ModelFailed(f"warm-up record {number} failed: {error}") from error


def _reproduce(golden: GoldenPair, shared: SharedGraph, endpoints: Mapping[str, Endpoint]) -> None:
    endpoint = endpoints.get(golden.signature)
    if endpoint is None:
        raise ModelFailed(f"the golden pair is for signature {golden.signature!r}, which there is not")
    if not golden.outputs or any(array.size == 0 for array in golden.inputs.values()):
        raise ModelFailed("the golden pair is empty, and so proves nothing")
    try:
        endpoint.signature.check(golden.inputs)
        actual = endpoint.finish(shared.graph.run(endpoint.runs, golden.inputs))
    except (ServiceError, KeyError, ValueError) as error:
        raise ModelFailed(f"the golden pair could not be run: {error}") from error
    for alias, expected in golden.outputs.items():
        if alias not in actual:
            raise ModelFailed(f"the golden pair expects output {alias!r}, which there is not")
        gap = farthest(expected, actual[alias])
        if gap > ENGINE_TOLERANCE:
            raise ModelFailed(
                f"the golden pair is not reproduced: output {alias!r} is off by {gap:.2g} of its spread, "
                f"and {ENGINE_TOLERANCE:g} is allowed; the files are not what was published"
            )
