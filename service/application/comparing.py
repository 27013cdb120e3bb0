"""What other versions of a head would have answered, from the very features that the stable one answered from.

A request pays for the copy of a few of its rows' features, and of so many rows a second only: what the others make of
them is computed afterwards, all rows of one head at once. That is exact for heads on one base, whose features are the
same whoever asks; other models are not compared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from service.domain.disagreement import differing
from service.domain.heads import Floats, Head, features_at
from service.domain.tensors import Tensors

ROWS_A_LOOK = 64
"""So many rows are compared from one look to the next."""
Features = Mapping[str, Floats]
"""By cut, [n, D]."""


@dataclass(frozen=True, slots=True)
class Placed:
    """A head, and the cut of its base that it is for."""

    head: Head
    cut: str


class Comparison:
    """One stable head and those that are held against it. ``offer`` may be called from any thread."""

    def __init__(self, stable: Placed, others: Mapping[int, Placed]) -> None:
        """``others`` by version; all are on the stable one's base, and comparable with it."""
        self.stable, self.others = stable, others
        self._cuts = frozenset({stable.cut, *(other.cut for other in others.values())})
        self.problem: str | None = None
        """Why nothing is compared, if so."""
        self._taken: list[Features] = []
        self._room = ROWS_A_LOOK

    def offer(self, outputs: Tensors) -> None:
        """Rows the stable head has just answered, as the base's outputs [n, ...]; kept while there is room."""
        rows = self._room
        if rows > 0:
            try:
                features = {cut: features_at(outputs, cut)[:rows].copy() for cut in self._cuts}
            except KeyError as error:
                # Who asked is answered whatever becomes of a comparison.
                self.problem = f"the base's answer has no {error}, which a compared head is for"
                return
            self._room = rows - len(features[self.stable.cut])
            self._taken.append(features)

    def taken(self) -> Sequence[Features]:
        """What was kept since this was last asked."""
        taken, self._taken, self._room = self._taken, [], ROWS_A_LOOK
        return taken

    def differences(self, taken: Sequence[Features]) -> Mapping[int, tuple[int, int]]:
        """By version on how many rows it was compared, and on how many it decides differently. Computes."""
        if not taken:
            return {}
        joined = {cut: np.concatenate([features[cut] for features in taken]) for cut in self._cuts}
        logits = _logits(self.stable, joined)
        return {
            version: (len(logits), int(differing(self.stable.head, logits, other.head, _logits(other, joined)).sum()))
            for version, other in self.others.items()
        }


def _logits(placed: Placed, features: Features) -> Floats:
    """All rows in one product: what is compared need not be the same to the last bit as what was answered."""
    product: Floats = features[placed.cut] @ placed.head.weights.T + placed.head.bias
    return product
