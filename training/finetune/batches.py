"""Endless batches of one size, each pass over the items in a new order.

The order is drawn outside of the graph, since a seed inside a traced function is baked in once and for all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.seeds import generator

Batch = tuple[Any, Any, Any]
"""Inputs [n, ...], what is wanted of them [n, ...], and each item's weight [n] or None."""


def orders(items: int, size: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """Places [size] of the items of each batch; the rest of a pass is left out, other items each time."""
    draw = generator(seed, "batches")
    size = min(size, items)
    while True:
        order = draw.permutation(items)
        for start in range(0, items - size + 1, size):
            yield order[start : start + size]


def batches(
    inputs: Any, wanted: Any, weights: Any, size: int, seed: int, change: Callable[[Any, int], Any] | None = None
) -> Iterator[Batch]:
    """Batches of arrays that are held in memory.

    Args:
        inputs: [n, ...] numbers or strings; anything that numpy-like indexing with an array of places works on.
        wanted: [n, ...] as the loss understands it.
        weights: [n], or None when all items count the same.
        change: given a batch's inputs and its number from 0, what is trained on in their place (augmentation).
    """
    for number, rows in enumerate(orders(len(inputs), size, seed)):
        taken = inputs[rows]
        taken = taken if change is None else change(taken, number)
        yield taken, wanted[rows], None if weights is None else weights[rows]
