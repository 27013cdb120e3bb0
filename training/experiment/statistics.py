"""What many repeats say together: means with their uncertainty, paired differences, counts over source models.

The unit of chance is the source model: repeats with one source share its luck, so resampling takes whole sources.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.seeds import generator

BOOTSTRAPS = 4_000
FEW = 5
"""A bootstrap over fewer units than these gives intervals that are far too narrow."""
Doubles = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Summary:
    """All scores of one arm. ``low`` and ``high``: a 95 % interval of the mean over sources and seeds, None for one."""

    repeats: int
    mean: float
    std: float
    median: float
    least: float
    greatest: float
    low: float | None
    high: float | None

    def to_dict(self) -> dict[str, Any]:
        """Plain values, fit for JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Gap:
    """One arm minus another on the same repeats, as a mean with a 95 % interval."""

    value: float
    low: float | None
    high: float | None
    better_sources: float
    """Share of the source models with which the arm's mean is the greater."""
    units: int
    """What was drawn again for the interval: source models, or with a single one its repeats."""

    @property
    def sign(self) -> int:
        """1 proven better, -1 proven worse, 0 neither; nothing is proven by fewer than ``FEW`` units."""
        if self.low is None or self.high is None or self.units < FEW:
            return 0
        return 1 if self.low > 0 else -1 if self.high < 0 else 0

    def to_dict(self) -> dict[str, Any]:
        """Plain values, fit for JSON."""
        return {**asdict(self), "sign": self.sign}


def summary(scores: Sequence[float], sources: Sequence[Any], seed: int) -> Summary:
    """Of an arm's scores, each with the source model it came from."""
    values = np.asarray(scores, dtype=np.float64)
    low, high = _interval(values, sources, seed)
    spread = float(values.std(ddof=1)) if len(values) > 1 else 0.0
    return Summary(
        len(values),
        float(values.mean()),
        spread,
        float(np.median(values)),
        float(values.min()),
        float(values.max()),
        low,
        high,
    )


def gap(scores: Sequence[float], others: Sequence[float], sources: Sequence[Any], seed: int) -> Gap:
    """Of two arms' scores on the same repeats, in the same order."""
    differences = np.asarray(scores, dtype=np.float64) - np.asarray(others, dtype=np.float64)
    low, high = _interval(differences, sources, seed)
    by_source = _grouped(differences, sources)
    better = float(np.mean([own.mean() > 0 for own in by_source]))
    units = len(by_source) if len(by_source) > 1 else len(differences)
    return Gap(float(differences.mean()), low, high, better, units)


@dataclass(frozen=True, slots=True)
class Ratio:
    """The errors of one arm as a multiple of another's, with a 95 % interval; a ratio without one says nothing."""

    value: float
    low: float
    high: float


def error_ratio(scores: Sequence[float], others: Sequence[float], sources: Sequence[Any], seed: int) -> Ratio | None:
    """Of two arms' accuracies on the same repeats; None where there are few units or no errors to compare with."""
    own, other = 1.0 - np.asarray(scores, dtype=np.float64), 1.0 - np.asarray(others, dtype=np.float64)
    groups = _grouped(own, sources)
    if max(len(groups), len(own) if len(groups) == 1 else 0) < FEW or other.sum() <= 0:
        return None
    drawn, drawn_other = _resampled(own, sources, seed), _resampled(other, sources, seed)
    with np.errstate(divide="ignore"):
        low, high = np.quantile(drawn / np.maximum(drawn_other, 1e-12), [0.025, 0.975])
    return Ratio(float(own.mean() / other.mean()), float(low), float(high))


def in_order(means: Mapping[Any, Mapping[str, float]], ordering: Sequence[str]) -> list[Any]:
    """The sources whose arms, by their means, stand strictly in this order from best to worst."""
    return [
        source for source, own in means.items() if all(own[better] > own[worse] for better, worse in pairwise(ordering))
    ]


def correlation(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Pearson's, or None where one side does not vary or there are fewer than three pairs."""
    a, b = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if len(a) < 3 or a.std() == 0 or b.std() == 0:
        return None
    return float(np.corrcoef(a, b)[0, 1])


def _grouped(values: Doubles, sources: Sequence[Any]) -> list[Doubles]:
    groups: dict[Any, list[float]] = {}
    for value, source in zip(values, sources, strict=True):
        groups.setdefault(source, []).append(float(value))
    return [np.asarray(own) for own in groups.values()]


def _interval(values: Doubles, sources: Sequence[Any], seed: int) -> tuple[float | None, float | None]:
    if len(values) < 2:
        return None, None
    low, high = np.quantile(_resampled(values, sources, seed), [0.025, 0.975])
    return float(low), float(high)


def _resampled(values: Doubles, sources: Sequence[Any], seed: int) -> Doubles:
    """Means [B]: whole sources are drawn again, and within each its repeats; repeats alone where there is one source.

    The same seed draws the same sources and repeats, so that two arms can be resampled together.
    """
    groups = _grouped(values, sources)
    draw = generator(seed, "experiment bootstrap")
    sizes = np.array([len(own) for own in groups])
    padded = np.zeros((len(groups), sizes.max()))
    for place, own in enumerate(groups):
        padded[place, : len(own)] = own
    picked = draw.integers(len(groups), size=(BOOTSTRAPS, len(groups)))
    own_sizes = sizes[picked][:, :, None]
    within = (draw.random((*picked.shape, padded.shape[1])) * own_sizes).astype(np.int64)
    counted = np.arange(padded.shape[1]) < own_sizes
    means: Doubles = (padded[picked[:, :, None], within] * counted).sum(axis=(1, 2)) / counted.sum(axis=(1, 2))
    return means
