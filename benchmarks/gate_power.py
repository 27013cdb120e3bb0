"""How often does the gate let a candidate through? By its true difference, the size of the test, and what is asked.

The current version is right nine times of ten, and one answer in ten differs between the two. Every outcome of a test
is counted by its exact probability, so nothing here is drawn but the bootstrap inside the gate. Prints a table, and
ends with status 1 unless the default promotes a candidate that is 2 points worse in at most 6 % of tests of 200 items.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator

import numpy as np

from training.evaluation.intervals import Difference, paired_share
from training.gate import against_current, decide
from training.recipe.judging import GateChoice

DISAGREEMENT = 0.10
MARGIN = 0.02
POINTS = (-3, -2, 0, 2, 5)
SIZES = (100, 200, 500)
WORSE, ITEMS, MOST_PROMOTED = -2, 200, 0.06
UNLIKELY = 1e-5
"""Outcomes less probable than this are left out; they make less than a tenth of a percent together."""


def outcomes(items: int, points: float) -> Iterator[tuple[float, int, int]]:
    """Probability, items gained and items lost, for all outcomes of a test that are worth counting."""
    from scipy.stats import multinomial

    better, worse = (DISAGREEMENT + points / 100) / 2, (DISAGREEMENT - points / 100) / 2
    law = multinomial(items, [better, worse, 1 - DISAGREEMENT])
    for gained in range(items // 4 + 1):
        for lost in range(items // 4 + 1):
            probability = float(law.pmf([gained, lost, items - gained - lost]))
            if probability > UNLIKELY:
                yield probability, gained, lost


def difference(items: int, gained: int, lost: int) -> Difference:
    """What the evaluation would find."""
    right, other = np.zeros(items, dtype=bool), np.zeros(items, dtype=bool)
    right[:gained], other[gained : gained + lost] = True, True
    return paired_share(right, other, 0)


def promoted(require: str) -> Callable[[Difference], bool]:
    """Whether the gate publishes a candidate with this difference."""

    def judge(gap: Difference) -> bool:
        found = {"value": gap.value, "lower_bound": gap.lower_bound}
        return decide([against_current(found, "accuracy", MARGIN, require, ITEMS)], "enforce").publish

    return judge


RULES: dict[str, Callable[[Difference], bool]] = {
    "naive >": lambda gap: gap.value > 0,
    "not_worse": promoted("not_worse"),
    "proven": promoted("proven"),
    "better": promoted("better"),
}


def shares(items: int, points: float) -> dict[str, float]:
    """How often each rule promotes."""
    total, found = 0.0, dict.fromkeys(RULES, 0.0)
    for probability, gained, lost in outcomes(items, points):
        gap = difference(items, gained, lost)
        total += probability
        for name, rule in RULES.items():
            found[name] += probability * rule(gap)
    return {name: share / total for name, share in found.items()}


def main() -> int:
    """Print the table; 0 when the target is met."""
    print(f"{'items':>6} {'true difference':>16} " + " ".join(f"{name:>10}" for name in RULES))
    worst = 1.0
    for items in SIZES:
        for points in POINTS:
            found = shares(items, points)
            print(f"{items:>6} {points:>+13} pt " + " ".join(f"{share:>10.3f}" for share in found.values()))
            if (items, points) == (ITEMS, WORSE):
                worst = found[GateChoice().require]
    print(f"{-WORSE} points worse on {ITEMS} items, by default: promoted {worst:.3f}; at most {MOST_PROMOTED}")
    return 0 if worst <= MOST_PROMOTED else 1


if __name__ == "__main__":
    sys.exit(main())
