"""One signature, compiled by OpenVINO and called from any thread, several at once.

A request of OpenVINO's runs one call at a time and keeps its buffers, so each call has one to itself; they are kept,
as many as there ever were calls at once. The caller's arrays are copied in and the answers copied out: nothing of one
call is seen by the next.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from service.adapters.engines.findings import Places
from service.adapters.engines.openvino.conversion import gist
from service.adapters.engines.openvino.runtime import runtime
from service.domain.errors import InvalidInput, ModelFailed
from service.domain.tensors import NUMPY_TYPES, Array, Signature, Tensors


class OpenVinoFunction:
    """Runs a compiled graph under the names of a signature. Thread-safe."""

    def __init__(self, compiled: Any, signature: Signature, places: Places, content: Array | None = None) -> None:
        """``content`` is what it was imported from: it goes on reading its weights there, and holds no reference."""
        self._compiled, self._signature, self._places = compiled, signature, places
        self._content = content
        self._types = {alias: NUMPY_TYPES[spec.dtype] for alias, spec in signature.inputs.items()}
        self._outputs = [
            (alias, at, signature.outputs[alias].dtype == "DT_STRING") for alias, at in places.outputs.items()
        ]
        self._has_texts = any(text for _, _, text in self._outputs)
        self._idle: list[_Call] = []

    def run(self, inputs: Tensors) -> dict[str, Array]:
        """Answer one call. Raises: InvalidInput, ModelFailed."""
        self._check(inputs)
        try:
            call = self._idle.pop()  # a list's own lock is enough: whoever finds it empty makes another
        except IndexError:
            call = _Call(self._compiled.create_infer_request(), self._places.inputs, self._has_texts)
        try:
            given = call.run(inputs)
            return {alias: given[at].astype(object) if text else given[at].copy() for alias, at, text in self._outputs}
        except RuntimeError as error:
            if self._caller_chose_shapes():
                raise InvalidInput(f"the graph does not take these inputs: {gist(error)}") from error
            raise ModelFailed(gist(error)) from error
        finally:
            self._idle.append(call)

    def close(self) -> None:
        """Free it."""
        self._idle.clear()
        self._compiled = None

    def _check(self, inputs: Tensors) -> None:
        """What OpenVINO would let pass: a type that it casts, an index beyond the table."""
        types, specs = self._types, self._signature.inputs
        if inputs.keys() != types.keys() or any(
            array.dtype != types[alias] or not specs[alias].accepts(array.shape) for alias, array in inputs.items()
        ):
            self._signature.check(inputs)
            raise InvalidInput("these are not the inputs of the signature")
        for alias, bound in self._places.bounds.items():
            indices = inputs[alias]
            outside = (indices < 0) | (indices >= bound)
            if outside.any():
                at = np.unravel_index(int(outside.argmax()), indices.shape)
                place = ",".join(map(str, at))
                raise InvalidInput(f"indices[{place}] = {indices[at]} is not in [0, {bound})")

    def _caller_chose_shapes(self) -> bool:
        """Whether what was refused may be the caller's choice: sizes within a row, or of one input beside another."""
        specs = self._signature.inputs.values()
        return len(specs) > 1 or any(None in (spec.shape or ())[1:] for spec in specs)


class _Call:
    """One of OpenVINO's requests, and the buffers that it reads its inputs from."""

    def __init__(self, request: Any, places: Mapping[str, int], has_texts: bool) -> None:
        self._request, self._places = request, places
        self._share = not has_texts  # a text is copied anyway, and a warning given if that was not asked for
        self._views: dict[str, Array] = {}
        self._buffers: dict[str, Array] = {}

    def run(self, inputs: Tensors) -> list[Array]:
        """The outputs in the graph's order, as views that the next run changes. Raises: RuntimeError."""
        for alias, array in inputs.items():
            view = self._views.get(alias)
            if view is None or view.shape != array.shape:
                view = self._shaped(alias, array)
            view[...] = array
        return list(self._request.infer(None, share_outputs=self._share, decode_strings=False).values())

    def _shaped(self, alias: str, array: Array) -> Array:
        """Let the request read from a buffer of this shape; a tensor costs as much as a small graph's whole run."""
        buffer = self._buffers.get(alias)
        if buffer is None or buffer.size < array.size:
            buffer = self._buffers[alias] = np.empty(max(array.size, 1), array.dtype)
        view = self._views[alias] = buffer[: array.size].reshape(array.shape)
        self._request.set_input_tensor(self._places[alias], runtime().Tensor(view, shared_memory=True))
        return view
