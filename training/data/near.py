"""Items that are nearly the same: pictures saved again, numbers rounded otherwise, texts spaced otherwise."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from training.data.contents import Contents, Floats
from training.data.pictures import Pictures
from training.seeds import generator

MOST_PAIRS = 1_000
"""More are not looked for."""
BITS_APART, GREY_APART = 3, 4.0
"""Two fingerprints of 64 bits, and the mean difference of two thumbnails on 0..255, of pictures that are the same."""
FLAT = 8
"""Pictures whose greys are closer together than this have no fingerprint worth the name."""
ROUNDING = 0.02
"""Of a column's spread: numbers closer than that in every column are one number rounded twice."""
CHANCE = 0.01
"""Pairs that may be called the same by chance, about: narrow data is dense, and has to be closer."""
NEIGHBOURS, DIRECTIONS = 4, 8
BUCKET = 64
Pair = tuple[int, int]


def near_items(contents: Contents) -> list[Pair]:
    """Pairs of items, the earlier first, that are nearly but not exactly the same; at most ``MOST_PAIRS``."""
    if contents.pictures is not None:
        return near_pictures(contents.pictures)
    if contents.numbers is not None:
        return near_rows(contents.numbers.reshape(len(contents), -1))
    if contents.texts:
        return near_texts(contents.texts)
    return []


def near_texts(texts: tuple[str, ...]) -> list[Pair]:
    """Texts that are the same but for capitals, spaces, punctuation and the way letters are encoded."""
    first: dict[str, int] = {}
    pairs = []
    for item, text in enumerate(texts):
        plain = " ".join(re.findall(r"\w+", unicodedata.normalize("NFKC", text).casefold()))
        other = first.setdefault(plain, item) if plain else item
        if other != item and texts[other] != text:
            pairs.append((other, item))
    return pairs[:MOST_PAIRS]


def near_pictures(pictures: Pictures) -> list[Pair]:
    """Pictures whose fingerprints and thumbnails agree: scaled, or saved again in another quality or format."""
    fingerprints, thumbnails = pictures.fingerprints, pictures.thumbnails.astype(np.int16)
    clear = np.flatnonzero(np.frombuffer(bytes(pictures.spreads), dtype=np.uint8) >= FLAT)
    found: set[Pair] = set()
    for one, other in _sharing_a_band(fingerprints, clear):
        apart = int(fingerprints[one] ^ fingerprints[other]).bit_count()
        if apart <= BITS_APART and np.abs(thumbnails[one] - thumbnails[other]).mean() <= GREY_APART:
            found.add((min(one, other), max(one, other)))
            if len(found) >= MOST_PAIRS:
                break
    return sorted(found)


def _sharing_a_band(fingerprints: NDArray[np.uint64], items: NDArray[np.int64]) -> Iterator[Pair]:
    """Pairs that may be few bits apart: of four bands of bits, at least one is then the same."""
    for band in range(BITS_APART + 1):
        keys = (fingerprints[items] >> np.uint64(16 * band)) & np.uint64(0xFFFF)
        # Within a bucket by the whole fingerprint, so that of very large ones the closest are compared.
        order = items[np.lexsort((fingerprints[items], keys))]
        keys = (fingerprints[order] >> np.uint64(16 * band)) & np.uint64(0xFFFF)
        starts = np.flatnonzero(np.r_[True, keys[1:] != keys[:-1]]) if len(keys) else np.zeros(0, dtype=np.int64)
        for start, end in zip(starts, [*starts[1:], len(order)], strict=True):
            bucket = order[start:end].tolist()
            for place, one in enumerate(bucket):
                for other in bucket[place + 1 : place + 1 + BUCKET]:
                    yield one, other


def near_rows(rows: Floats) -> list[Pair]:
    """Rows [n, columns] that agree in every column up to rounding. Equal rows are no pair."""
    items, width = rows.shape
    if items < 2:
        return []
    blocks = (rows[:, start : start + BUCKET] for start in range(0, width, BUCKET))
    scale = np.concatenate([block.std(axis=0, dtype=np.float64) for block in blocks])
    used = scale > 0
    allowed = min(ROUNDING, 3.5 * (2 * CHANCE / items**2) ** (1 / max(1, int(used.sum()))))
    if not used.any() or allowed < 1e-6:
        return []
    scale = np.where(used, scale, 1.0)
    directions = generator(0, "near").normal(size=(width, DIRECTIONS)) / np.sqrt(width) / scale[:, None]
    shadows = rows @ directions.astype(np.float32)
    order = np.argsort(shadows[:, 0], kind="stable")
    found: set[Pair] = set()
    for step in range(1, NEIGHBOURS + 1):
        left, right = order[:-step], order[step:]
        # Nothing that close in every column is farther apart in a direction than the directions are long.
        close = (np.abs(shadows[left] - shadows[right]) <= allowed * np.sqrt(width) * 4).all(axis=1)
        for one, other in zip(left[close].tolist(), right[close].tolist(), strict=True):
            apart = np.abs(rows[one] - rows[other]) / scale
            if 0 < apart.max() <= allowed:
                found.add((min(one, other), max(one, other)))
    return sorted(found)[:MOST_PAIRS]
