"""The gate: named checks on a candidate, and the verdict they add up to.

``rejected`` means proven worse, ``insufficient`` that the test is too small to prove anything, ``passed`` neither. It
decides and has no effects; whether a verdict keeps a candidate from being published is the recipe's ``gate.mode``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

LEAST_TEST, LEAST_TEST_A_CLASS = 100, 5
PARITY_LIMIT = 1e-5
SIZE_LIMIT = 1.1


class Verdict(StrEnum):
    """What the checks add up to."""

    PASSED = "passed"
    REJECTED = "rejected"
    INSUFFICIENT = "insufficient"


@dataclass(frozen=True, slots=True)
class Check:
    """One question with its figures."""

    name: str
    passed: bool
    value: float
    limit: float
    reason: str
    decides: Verdict = Verdict.REJECTED
    """The verdict when it is not passed."""
    waivable: bool = True
    """Whether ``gate.mode: record`` lets it pass: quality may be traded, an export that answers wrongly may not."""


@dataclass(frozen=True, slots=True)
class Decision:
    """The verdict and all that led to it."""

    verdict: Verdict
    mode: str
    publish: bool
    checks: tuple[Check, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, fit for JSON."""
        return {
            "verdict": str(self.verdict),
            "mode": self.mode,
            "publish": self.publish,
            "reasons": [check.reason for check in self.checks if not check.passed],
            "checks": [
                {
                    "name": check.name,
                    "passed": check.passed,
                    "value": check.value,
                    "limit": check.limit,
                    "reason": check.reason,
                }
                for check in self.checks
            ],
        }


def decide(checks: Sequence[Check], mode: str) -> Decision:
    """Rejected if any check that was not passed rejects, else insufficient if any says so, else passed."""
    failed = {check.decides for check in checks if not check.passed}
    waived = mode != "enforce" and all(check.passed or check.waivable for check in checks)
    verdict = next((v for v in (Verdict.REJECTED, Verdict.INSUFFICIENT) if v in failed), Verdict.PASSED)
    return Decision(verdict, mode, waived or verdict is not Verdict.REJECTED, tuple(checks))


def better_than_majority(candidate: Mapping[str, Any], majority: Mapping[str, Any]) -> Check:
    """The least that is asked of anything: not to be worse than always answering the most frequent class."""
    value, limit = float(candidate["accuracy"]), float(majority["accuracy"])
    passed = value > limit and float(candidate["accuracy_high"]) >= limit
    word = "is" if passed else "is not"
    return Check(
        "better_than_majority", passed, value, limit, f"accuracy {value:.3f} {word} above the majority's {limit:.3f}"
    )


def not_worse_than_current(difference: Mapping[str, Any], margin: float) -> Check:
    """Whether a loss against the version that answers now is both likely and larger than the margin."""
    value, bound = float(difference["value"]), float(difference["lower_bound"])
    passed = not (bound <= -margin and value < -margin)
    reason = (
        f"against the current version {value:+.3f} accuracy, with 95 % confidence above {bound:+.3f}; "
        f"the margin is {margin:g}"
    )
    return Check("not_worse_than_current", passed, value, -margin, reason)


def same_in_fresh_process(largest_difference: float) -> Check:
    """Whether a new process that loads the export gets the answers it was made to give."""
    passed = largest_difference <= PARITY_LIMIT
    reason = f"a fresh process differs by {largest_difference:.2g} of the spread; the limit is {PARITY_LIMIT:g}"
    return Check("parity_fresh_process", passed, largest_difference, PARITY_LIMIT, reason, waivable=False)


def head_equals_graph(largest_difference: float) -> Check:
    """Whether the head's own numbers, applied to features, give the exported graph's probabilities."""
    passed = largest_difference <= PARITY_LIMIT
    reason = f"head and graph differ by {largest_difference:.2g} in probability; the limit is {PARITY_LIMIT:g}"
    return Check("parity_head_and_graph", passed, largest_difference, PARITY_LIMIT, reason, waivable=False)


def stored_once(ratio: float) -> Check:
    """Whether each weight is written once: bytes of the variables' file to bytes of the weights."""
    reason = f"the stored variables are {ratio:.2f} times the weights; the limit is {SIZE_LIMIT:g}"
    return Check("stored_once", ratio <= SIZE_LIMIT, ratio, SIZE_LIMIT, reason, waivable=False)


def enough_test_items(items: int, fewest_of_a_class: int) -> list[Check]:
    """Whether the test is large enough to prove anything."""
    insufficient = Verdict.INSUFFICIENT
    return [
        Check(
            "test_items",
            items >= LEAST_TEST,
            items,
            LEAST_TEST,
            f"{items} test items; {LEAST_TEST} are needed for a sure verdict",
            insufficient,
        ),
        Check(
            "test_items_a_class",
            fewest_of_a_class >= LEAST_TEST_A_CLASS,
            fewest_of_a_class,
            LEAST_TEST_A_CLASS,
            f"the smallest class has {fewest_of_a_class} test items; {LEAST_TEST_A_CLASS} are needed",
            insufficient,
        ),
    ]
