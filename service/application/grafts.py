"""A head on its base: which run of the base answers each of its signatures, and what is done with the features.

All heads of one shape, and thousands are, share everything here but their numbers: signatures, what was checked of
them, and the base's features of a golden input, which are computed once for all heads that bring the same one.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from service.application.batch_runs import Finish
from service.application.batching import Batcher
from service.application.graphs import SharedGraph
from service.application.online import Endpoint
from service.domain.artifact import SAVED_MODEL, Manifest
from service.domain.errors import ModelFailed
from service.domain.heads import AnswerForm, Head, cut_parts, features_at
from service.domain.inference import CLASSIFY_METHOD, REGRESS_METHOD
from service.domain.tensors import Array, Signature, Tensors, TensorSpec

Key = TypeVar("Key")
Value = TypeVar("Value")

_METHODS = {AnswerForm.CLASSIFY: CLASSIFY_METHOD, AnswerForm.REGRESS: REGRESS_METHOD}
_MOST_SHAPES, _MOST_INPUTS = 256, 16


@dataclass(frozen=True, slots=True)
class Outlet:
    """How one signature of a head is answered: a run of the base, and the head's answer in a form; without one the
    features are the answer.
    """

    signature: Signature
    runs: str
    batcher: Batcher
    cut: str
    form: AnswerForm | None


class HeadEndpoints(Mapping[str, Endpoint]):
    """The endpoints of one head, made when they are asked for: ten thousand heads hold none."""

    __slots__ = ("_outlets", "head", "shown")

    def __init__(self, outlets: Mapping[str, Outlet], head: Head) -> None:
        self._outlets, self.head = outlets, head
        self.shown: Callable[[Tensors], None] | None = None
        """Told of the base's outputs that the head has answered from, on the lane's thread; it must be quick."""

    @property
    def cut(self) -> str:
        """Where on its base the head is."""
        return next(iter(self._outlets.values())).cut

    def __getitem__(self, name: str) -> Endpoint:
        outlet = self._outlets[name]
        finish: Finish = dict if outlet.form is None else partial(_answer, self.head, outlet.cut, outlet.form)
        if self.shown is not None and outlet.form is not None:
            finish = partial(_answer_and_show, finish, self.shown)
        return Endpoint(outlet.signature, outlet.runs, outlet.batcher, finish)

    def __iter__(self) -> Iterator[str]:
        return iter(self._outlets)

    def __len__(self) -> int:
        return len(self._outlets)


def _answer(head: Head, cut: str, form: AnswerForm, features: Tensors) -> dict[str, Array]:
    return head.answer(features_at(features, cut), form)


def _answer_and_show(answer: Finish, show: Callable[[Tensors], None], features: Tensors) -> dict[str, Array]:
    found = answer(features)
    show(features)
    return found


class Grafts:
    """What the heads on one loaded base share. For one thread at a time, as versions of one graph load in turn."""

    def __init__(self, shared: SharedGraph) -> None:
        self._graph, self._batchers = shared.graph, shared.batchers
        self._shapes: OrderedDict[object, Mapping[str, Outlet]] = OrderedDict()
        self._features: OrderedDict[tuple[str, str], Tensors] = OrderedDict()

    def endpoints(
        self, manifest: Manifest, head: Head, own: Callable[[], Mapping[str, Signature]] | None
    ) -> HeadEndpoints:
        """How this head answers. ``own`` reads the signatures of a complete head's graph; a thin one has those that
        follow from its routes.

        Raises:
            ModelFailed: it does not fit this base.
        """
        shape = (
            manifest.files.get(str(SAVED_MODEL)),
            manifest.cut,
            tuple(sorted(manifest.routes.items())),
            head.task,
            head.weights.shape,
            bool(head.half_widths),
        )
        outlets = self._shapes.get(shape)
        if outlets is None:
            signatures = own() if own else self._implied(manifest, head)
            outlets = {name: self._outlet(name, one, manifest, head) for name, one in signatures.items()}
            _remember(self._shapes, shape, outlets, _MOST_SHAPES)
        return HeadEndpoints(outlets, head)

    def features(self, runs: str, name: str, inputs: Callable[[], Tensors]) -> Tensors:
        """The base's features of golden inputs, which are read and run only when none of that name were before."""
        known = self._features.get((runs, name))
        if known is None:
            known = self._graph.run(runs, inputs())
            _remember(self._features, (runs, name), known, _MOST_INPUTS)
        return known

    def _implied(self, manifest: Manifest, head: Head) -> dict[str, Signature]:
        """The signatures of a thin head: its routes' answers, and the features they are made of."""
        signatures = {}
        for name, route in manifest.routes.items():
            offered = self._offered(name, route.via)
            method = _METHODS.get(route.form, offered.method)
            signatures[route.via] = offered
            signatures[name] = Signature(offered.inputs, head.reply.specs(route.form), method, offered.defaults)
        return dict(sorted(signatures.items()))

    def _offered(self, name: str, runs: str) -> Signature:
        offered = self._graph.signatures.get(runs)
        if offered is None:
            raise ModelFailed(f"signature {name!r} needs {runs!r}, which the base does not offer")
        return offered

    def _outlet(self, name: str, signature: Signature, manifest: Manifest, head: Head) -> Outlet:
        route = manifest.routes.get(name)
        runs = route.via if route else name
        offered = self._offered(name, runs)
        if _wanted(signature) != _wanted(offered):
            raise ModelFailed(f"signature {name!r} and the base's {runs!r} do not take the same inputs")
        assert manifest.cut is not None, "a head's manifest has a cut"
        if route is not None:
            _check_cut(manifest.cut, head, runs, offered)
            if not head.reply.gives(route.form):
                raise ModelFailed(f"signature {name!r} is to {route.form}, which a head for {head.task} cannot")
        elif name not in {other.via for other in manifest.routes.values()}:
            # The base's answer under the head's name would look right and mean something else.
            raise ModelFailed(f"signature {name!r} has no route, and is none of the base's features")
        return Outlet(signature, runs, self._batchers[runs], manifest.cut, route.form if route else None)


def fingerprint(inputs: Tensors) -> str:
    """A name for some inputs that no others have."""
    digest = hashlib.sha256()
    for alias, array in sorted(inputs.items()):
        values = repr(array.tolist()).encode() if array.dtype == object else array.tobytes()
        digest.update(f"{alias}:{array.dtype}:{array.shape}:{len(values)};".encode() + values)
    return digest.hexdigest()


def _remember(known: OrderedDict[Key, Value], name: Key, value: Value, most: int) -> None:
    known[name] = value
    if len(known) > most:
        known.popitem(last=False)


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
