"""Tensors as the outside names them: element types, specifications, signatures, and the check of a request against one.

Types carry TensorFlow's own names (``DT_FLOAT``), because those are on the wire of every door; values are numpy arrays.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from service.domain.errors import InvalidInput

Array = NDArray[Any]
Tensors = Mapping[str, Array]
Output = TypeVar("Output")

DEFAULT_SIGNATURE = "serving_default"
FEATURES_SIGNATURE = "features"

BFLOAT16 = np.dtype([("bfloat16", np.uint16)])
"""numpy has no such numbers; these are their bits."""
NUMPY_TYPES: Mapping[str, np.dtype[Any]] = {
    "DT_FLOAT": np.dtype(np.float32),
    "DT_DOUBLE": np.dtype(np.float64),
    "DT_HALF": np.dtype(np.float16),
    "DT_BFLOAT16": BFLOAT16,
    "DT_INT8": np.dtype(np.int8),
    "DT_INT16": np.dtype(np.int16),
    "DT_INT32": np.dtype(np.int32),
    "DT_INT64": np.dtype(np.int64),
    "DT_UINT8": np.dtype(np.uint8),
    "DT_UINT16": np.dtype(np.uint16),
    "DT_UINT32": np.dtype(np.uint32),
    "DT_UINT64": np.dtype(np.uint64),
    "DT_BOOL": np.dtype(np.bool_),
    "DT_COMPLEX64": np.dtype(np.complex64),
    "DT_COMPLEX128": np.dtype(np.complex128),
    "DT_STRING": np.dtype(object),
}
_NAMES = {dtype: name for name, dtype in NUMPY_TYPES.items()}


def type_name(array: Array) -> str:
    """The wire name of an array's element type; bytes and str arrays count as ``DT_STRING``.

    Raises:
        InvalidInput: numpy has a type here that no door can carry.
    """
    if array.dtype.kind in "OSU":
        return "DT_STRING"
    name = _NAMES.get(array.dtype)
    if name is None:
        raise InvalidInput(f"tensors of numpy type {array.dtype} are not supported")
    return name


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One named tensor of a signature. ``shape`` is None when even the rank is unknown; a None in it is any size."""

    alias: str
    dtype: str
    shape: tuple[int | None, ...] | None
    graph_name: str = ""

    @property
    def batched(self) -> bool:
        """Whether the first dimension is free, and so may be a batch."""
        return bool(self.shape) and self.shape is not None and self.shape[0] is None

    def accepts(self, shape: tuple[int, ...]) -> bool:
        """Whether a tensor of this shape fits."""
        if self.shape is None:
            return True
        if len(self.shape) != len(shape):
            return False
        return all(want is None or want == got for want, got in zip(self.shape, shape, strict=True))

    def shape_text(self) -> str:
        """The shape as people write it: ``[?,8,8,1]``."""
        if self.shape is None:
            return "[any rank]"
        return "[" + ",".join("?" if size is None else str(size) for size in self.shape) + "]"


@dataclass(frozen=True, slots=True)
class Signature:
    """One way to call a model: named inputs, named outputs, and TF Serving's name of the method."""

    inputs: Mapping[str, TensorSpec]
    outputs: Mapping[str, TensorSpec]
    method: str = "tensorflow/serving/predict"
    defaults: Tensors = field(default_factory=dict, compare=False)
    """What inputs are when they are left out, for those that may be."""

    @property
    def batched(self) -> bool:
        """Whether every tensor in and out has a free first dimension: the precondition of batching, not its proof."""
        specs = [*self.inputs.values(), *self.outputs.values()]
        return bool(self.inputs) and all(spec.batched for spec in specs)

    def completed(self, tensors: Tensors) -> Tensors:
        """A request with what it left out and may. Raises: InvalidInput, as ``check``."""
        self.check(tensors)
        return tensors if len(tensors) == len(self.inputs) else {**self.defaults, **tensors}

    def check(self, tensors: Tensors) -> None:
        """Hold a request against this signature.

        Raises:
            InvalidInput: a name is missing or unknown, or a tensor has the wrong type or shape; the text says which.
        """
        if tensors.keys() != self.inputs.keys():
            self._check_names(tensors)
        for alias, array in tensors.items():
            spec = self.inputs[alias]
            if type_name(array) != spec.dtype:
                raise InvalidInput(f"input {alias!r} expects {spec.dtype} but got {type_name(array)}")
            if not spec.accepts(array.shape):
                raise InvalidInput(f"input {alias!r} expects shape {spec.shape_text()} but got {list(array.shape)}")

    def _check_names(self, tensors: Tensors) -> None:
        extra, missing = tensors.keys() - self.inputs.keys(), self.inputs.keys() - tensors.keys()
        if len(tensors) != len(self.inputs) and (extra or not self.defaults):
            raise InvalidInput(
                f"input size does not match signature: {len(tensors)}!={len(self.inputs)} len({_listed(tensors)}) != "
                f"len({_listed(self.inputs)}). Sent extra: {_listed(extra)}. Missing but required: {_listed(missing)}."
            )
        for alias in sorted(missing - self.defaults.keys()):
            raise InvalidInput(
                f"Signature input alias: {alias}(feed name: {self.inputs[alias].graph_name}) not found in request and "
                f"no default value provided. Inputs expected to be in the request "
                f"{_listed(self.inputs.keys() - self.defaults.keys())}, or default input alias set: "
                f"{','.join(sorted(self.defaults))}"
            )
        for alias in sorted(extra):
            raise InvalidInput(f"the signature has no input {alias!r}; it has {_listed(self.inputs)}")


def _listed(names: Iterable[str]) -> str:
    return "{" + ",".join(sorted(names)) + "}"


def select_outputs(outputs: Mapping[str, Output], wanted: tuple[str, ...]) -> dict[str, Output]:
    """The outputs a caller asked for, or all of them when it named none.

    Raises:
        InvalidInput: a name is unknown or named twice.
    """
    if not wanted:
        return dict(outputs)
    for index, alias in enumerate(wanted):
        if alias not in outputs:
            known = ",".join(sorted(outputs))
            raise InvalidInput(
                f"output tensor alias not found in signature: {alias} Outputs expected to be in the set {{{known}}}."
            )
        if alias in wanted[:index]:
            raise InvalidInput(f"duplicate output tensor alias: {alias}")
    return {alias: outputs[alias] for alias in wanted}


def size_in_bytes(arrays: Tensors) -> int:
    """What arrays take up in memory; strings, which are objects of their own, by their length."""
    size = 0
    for array in arrays.values():
        size += array.nbytes
        if array.dtype.kind == "O":
            size += sum(map(len, array.ravel().tolist()))
    return size


_ROUNDING = 1e-5
"""A spread below this share of the values' size may come from rounding alone, in 32 bits and over many operations."""
_LEAST_SPREAD = 1e-3
"""As a share of the values' size: no tolerance shall ask for more digits than 32 bits have."""


def farthest(expected: Array, actual: Array) -> float:
    """The largest difference between two arrays, as a share of how much the expected values spread.

    Relative to the spread, because an absolute tolerance fails on logits and passes anything on tiny outputs. Values
    that are all but the same are compared by their size: a spread of rounding alone is none. Shapes that differ are
    infinitely far apart, and so is a NaN on one side only. What is no number is the same or infinitely far.
    """
    if expected.shape != actual.shape:
        return float("inf")
    if expected.size == 0:
        return 0.0
    if not (_is_numeric(expected) and _is_numeric(actual)):
        return 0.0 if _plain(expected) == _plain(actual) else float("inf")
    wide = np.complex128 if "c" in (expected.dtype.kind, actual.dtype.kind) else np.float64
    want, got = expected.astype(wide), actual.astype(wide)
    equal = (want == got) | (np.isnan(want) & np.isnan(got))
    if equal.all():
        return 0.0
    with np.errstate(invalid="ignore"):
        gap = float(np.max(np.abs(np.where(equal, 0.0, want - got))))
    finite = want[np.isfinite(want)]
    spread = float(finite.std()) if finite.size else 0.0
    size = float(np.abs(finite).max()) if finite.size else 0.0
    scale = (max(spread, _LEAST_SPREAD * size) if spread > _ROUNDING * size else size) or 1.0
    return gap / scale if np.isfinite(gap) else float("inf")


def _is_numeric(array: Array) -> bool:
    return array.dtype.kind in "fiubc"


def _plain(array: Array) -> list[Any]:
    return [value.encode() if isinstance(value, str) else value for value in array.ravel().tolist()]
