"""Randomness, one independent stream for each purpose, all derived from the recipe's one seed.

There is no global generator: what one phase draws cannot shift what the next one sees.
"""

from __future__ import annotations

import hashlib

import numpy as np

LARGEST_SEED = 2**31 - 1


def child_seed(seed: int, *purpose: object) -> int:
    """The seed for one purpose, 0..2^31-1; the same arguments always give the same number."""
    text = "/".join(str(part) for part in (seed, *purpose))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") & LARGEST_SEED


def generator(seed: int, *purpose: object) -> np.random.Generator:
    """A generator for one purpose."""
    return np.random.default_rng(child_seed(seed, *purpose))
