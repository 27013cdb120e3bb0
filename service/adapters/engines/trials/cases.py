"""Inputs on which two engines are compared: what people send, what lies at the edges, and the same each time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np

from service.domain.tensors import NUMPY_TYPES, Array, Signature, Tensors

_FREE = (4, 33)
"""What a size within a row that is left free becomes: small, and large enough for an image to be an image."""
Draw = Callable[[np.random.Generator, tuple[int, ...]], Array]
_FLOATS: tuple[tuple[int, Draw], ...] = (
    (3, lambda rng, shape: rng.random(shape)),
    (2, lambda rng, shape: rng.normal(0.0, 3.0, shape)),
    (1, lambda rng, shape: rng.uniform(0.0, 255.0, shape)),
    (2, lambda rng, shape: np.zeros(shape)),
)
"""So many rows of each kind."""


def cases(signature: Signature, bounds: Mapping[str, int]) -> Iterator[Tensors]:
    """Batches for a signature without strings; ``bounds`` are those of inputs that are indices."""
    rng = np.random.default_rng(0)
    free = _FREE if _has_free_sizes(signature) else _FREE[:1]
    for size in free:
        for kind, (rows, draw) in enumerate(_FLOATS):
            yield {
                alias: _drawn(
                    rng, NUMPY_TYPES[spec.dtype], _shape(spec.shape, rows, size), draw, bounds.get(alias), kind
                )
                for alias, spec in signature.inputs.items()
            }


def _has_free_sizes(signature: Signature) -> bool:
    return any(None in (spec.shape or ())[1:] for spec in signature.inputs.values())


def _shape(shape: tuple[int | None, ...] | None, rows: int, free: int) -> tuple[int, ...]:
    sizes = shape or ()
    return tuple(given if given is not None else (free if at else rows) for at, given in enumerate(sizes))


def _drawn(
    rng: np.random.Generator,
    dtype: np.dtype[np.generic],
    shape: tuple[int, ...],
    draw: Draw,
    bound: int | None,
    kind: int,
) -> Array:
    if dtype.kind == "f":
        return draw(rng, shape).astype(dtype)
    if dtype.kind == "b":
        return rng.random(shape) < 0.5
    if bound is not None:
        found = rng.integers(0, bound, shape)
        if found.size:
            found.ravel()[-1] = bound - 1  # the edge that is wrong first
        return found.astype(dtype)
    least, most = np.iinfo(str(dtype)).min, np.iinfo(str(dtype)).max
    ranges = ((0, 2), (least, most), (max(least, -100), 100), (0, 1))
    low, high = ranges[kind]
    return rng.integers(low, high, shape, dtype=dtype, endpoint=kind == 1)
