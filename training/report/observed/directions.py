"""Items in two dimensions: as they are where they have two numbers, else along the main directions of features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.report.figures.scatter import MOST_GROUPS
from training.seeds import generator

MOST_ITEMS = 600
OTHER = "other classes"


def plane(
    features: NDArray[np.float32],
    groups: NDArray[np.int64],
    names: Sequence[str],
    seed: int,
    columns: Sequence[str] = (),
) -> dict[str, Any]:
    """The report's ``preview`` of features [n, D] whose items belong to groups [n].

    Args:
        columns: what the two numbers are called, where there are just two.
    """
    chosen = np.sort(generator(seed, "preview").permutation(len(features))[:MOST_ITEMS])
    numbers, groups = features[chosen].astype(np.float64), groups[chosen]
    shown = list(names[:MOST_GROUPS])
    if len(names) > MOST_GROUPS:
        shown[-1] = OTHER
        groups = np.minimum(groups, MOST_GROUPS - 1)
    if numbers.shape[1] == 2:
        places, axes = numbers, tuple(columns) if len(columns) == 2 else ("first number", "second number")
        title = "training items"
    else:
        places, shares = main_directions(numbers)
        axes = tuple(f"direction {n}, {100 * share:.0f} % of the spread" for n, share in enumerate(shares, 1))
        title = "training items along the main directions of their features"
    points = [[_short(x), _short(y), int(group)] for (x, y), group in zip(places, groups, strict=True)]
    return {"title": title, "axes": list(axes), "names": shown, "points": points}


def main_directions(features: NDArray[np.float64]) -> tuple[NDArray[np.float64], list[float]]:
    """Places [n, 2] along the two directions in which standardised features [n, D] spread most, and their shares."""
    spread = features.std(axis=0)
    scaled = (features - features.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    left, singular, directions = np.linalg.svd(scaled, full_matrices=False)
    places = np.zeros((len(features), 2))
    shares = [0.0, 0.0]
    total = float((singular**2).sum()) or 1.0
    for place in range(min(2, len(singular))):
        # A direction has no sign of its own: its largest part is taken for positive, so that pictures can be compared.
        sign = 1.0 if directions[place][np.abs(directions[place]).argmax()] >= 0 else -1.0
        places[:, place] = sign * left[:, place] * singular[place]
        shares[place] = float(singular[place] ** 2) / total
    return places, shares


def _short(value: float) -> float:
    return float(f"{value:.4g}")
