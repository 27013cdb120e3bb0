"""How sure a figure is: Wilson's interval for shares, the bootstrap over items for everything else, also in pairs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from training.seeds import generator

Doubles = NDArray[np.float64]
CONFIDENCE = 0.95
DRAWS = 2_000
MOST_GROUPS, BLOCK = 2_500, 2_000
"""Items, and resamples, whose counts are in memory at once."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A two-sided interval."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Difference:
    """One answerer's metric minus another's on the same items, as a gain: above 0 the first is better, always."""

    value: float
    interval: Interval
    lower_bound: float
    """One-sided: the true gain is above it."""
    upper_bound: float
    """One-sided: the true gain is below it."""


def wilson(right: int, items: int, confidence: float = CONFIDENCE) -> Interval:
    """Wilson's score interval of a share: right of all items."""
    from scipy.stats import norm

    if items == 0:
        return Interval(0.0, 1.0)
    z = float(norm.ppf(0.5 + confidence / 2))
    share, square = right / items, z**2
    middle = (share + square / (2 * items)) / (1 + square / items)
    reach = z * np.sqrt(share * (1 - share) / items + square / (4 * items**2)) / (1 + square / items)
    return Interval(max(0.0, float(middle - reach)), min(1.0, float(middle + reach)))


def resampled_means(contributions: Doubles, seed: int, draws: int = DRAWS) -> Doubles:
    """Means [draws, A] of A columns of contributions [n, A] under resampling of the items, the same for all columns.

    Of more than ``MOST_GROUPS`` items groups are resampled, into which they are dealt at random: the spread of their
    mean is the same, and the cost no longer grows.
    """
    n, mean = len(contributions), contributions.mean(axis=0)
    gaps = contributions - mean
    if n > MOST_GROUPS:
        order = generator(seed, "groups").permutation(n)
        first = np.linspace(0, n, MOST_GROUPS, endpoint=False).astype(np.int64)
        gaps = np.add.reduceat(gaps[order], first, axis=0)
    drawn = [_counts(len(gaps), seed, first, min(BLOCK, draws - first)) @ gaps for first in range(0, draws, BLOCK)]
    result: Doubles = mean + np.concatenate(drawn) / n
    return result


@lru_cache(maxsize=2)
def _counts(n: int, seed: int, first: int, draws: int) -> Doubles:
    """How often each of n items was drawn in each resample, [draws, n]; kept, for the next figures of the same test."""
    chosen = generator(seed, "bootstrap", first).integers(0, n, size=(draws, n))
    chosen += (np.arange(draws) * n)[:, None]
    return np.bincount(chosen.ravel(), minlength=draws * n).reshape(draws, n).astype(np.float64)


def mean_intervals(
    contributions: Mapping[str, Doubles], seed: int, draws: int = DRAWS, confidence: float = CONFIDENCE
) -> dict[str, Interval]:
    """The interval of the mean of each column [n], by the same resamples."""
    means = resampled_means(np.stack(list(contributions.values()), axis=1), seed, draws)
    tail = (1 - confidence) / 2
    low, high = np.quantile(means, [tail, 1 - tail], axis=0)
    return {name: Interval(float(low[at]), float(high[at])) for at, name in enumerate(contributions)}


def paired_differences(
    contributions: Doubles,
    others: Mapping[str, Doubles],
    seed: int,
    draws: int = DRAWS,
    confidence: float = CONFIDENCE,
) -> dict[str, Difference]:
    """The candidate's metric minus each other's, from the items' contributions [n] to it, greater better.

    All answered the same items, and are resampled together. Intervals are of ``confidence``; the one-sided bounds, by
    which the gate decides, are always of 95 %, with the whole of what that leaves on their side.
    """
    if not others:
        return {}
    gaps = np.stack([contributions - other for other in others.values()], axis=1)
    means, tail, side = resampled_means(gaps, seed, draws), (1 - confidence) / 2, 1 - CONFIDENCE
    quantiles = np.quantile(means, [tail, side, 1 - side, 1 - tail], axis=0)
    found = {}
    for at, name in enumerate(others):
        low, lower, upper, high = (float(value) for value in quantiles[:, at])
        found[name] = Difference(float(gaps[:, at].mean()), Interval(low, high), lower, upper)
    return found


def paired_share(right: NDArray[np.bool_], other: NDArray[np.bool_], seed: int, draws: int = DRAWS) -> Difference:
    """The same for shares of items right [n]: a resample is a draw of how many items were gained, kept and lost."""
    n, gained, lost = len(right), int((right & ~other).sum()), int((other & ~right).sum())
    drawn = generator(seed, "pairs").multinomial(n, [lost / n, (n - gained - lost) / n, gained / n], size=draws)
    low, lower, upper, high = np.quantile((drawn[:, 2] - drawn[:, 0]) / n, [0.025, 0.05, 0.95, 0.975])
    return Difference((gained - lost) / n, Interval(float(low), float(high)), float(lower), float(upper))
