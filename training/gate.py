"""The gate: named checks on a candidate, and the verdict they add up to.

``rejected`` means that something asked for is not there: it answers wrongly, is worse, or lacks a proof that
``gate.require`` demands. ``insufficient`` means that nothing speaks against the candidate and the test is too small to
speak for it: it is published, and moving a label to it should be a person's decision. ``passed`` is neither. The gate
decides and has no effects; ``gate.mode: record`` publishes what was rejected for its quality all the same.

Differences are gains on the same sealed items, above 0 where the candidate is better, with one-sided 95 % bounds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

LEAST_TEST, LEAST_TEST_A_CLASS = 100, 5
PARITY_LIMIT = 1e-5
SIZE_LIMIT = 1.1
LEAST_RECALL_ITEMS, RECALL_DROP = 20, 0.05
"""A class with so many test items may not be proven to be recalled less by more than this."""
LOSS_RATIO = 1.05
"""The loss may not be proven worse than the current version's, and larger by more than this factor."""
MOST_TEST_USES = 10
_MOST_WANTED = 1_000_000
"""Nobody labels more to prove that nothing changed."""


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


def better_than_majority(difference: Mapping[str, Any], metric: str) -> Check:
    """The least that is asked of anything: to be better than an answer that does not look at the item.

    Not better rejects; better by less than is certain is insufficient.
    """
    value, bound = float(difference["value"]), float(difference["lower_bound"])
    reason = f"against always the same answer {_gain(value, bound, metric)}"
    return Check("better_than_majority", bound > 0, bound, 0.0, reason, _unless(value <= 0))


def not_worse_than_linear(difference: Mapping[str, Any], metric: str, margin: float) -> Check:
    """Whether a first version is at least what a linear model on raw input is, less the margin: else the base harms.

    Proven worse rejects; seemingly worse is insufficient.
    """
    value = float(difference["value"])
    reason = f"against a linear model on raw input {_gain(value, float(difference['lower_bound']), metric)}"
    proven = float(difference["upper_bound"]) < 0
    return Check(
        "not_worse_than_linear_raw", value >= -margin, value, -margin, f"{reason}; {_margin(margin)}", _unless(proven)
    )


def against_current(difference: Mapping[str, Any], metric: str, margin: float, require: str, items: int) -> Check:
    """Whether the candidate may follow the version that answers now, by the same ``items`` of a test.

    ``proven``: without proof that it is within the margin it is rejected, and the reason says how many items might
    have proven it. ``better``: without proof of a gain it is rejected. ``not_worse``: probably worse by more than the
    margin rejects; without proof of either the evidence is insufficient.
    """
    value, bound = float(difference["value"]), float(difference["lower_bound"])
    reason = f"against the current version {_gain(value, bound, metric)}"
    if require == "better":
        return Check("better_than_current", bound > 0, bound, 0.0, f"{reason}; it has to be above 0")
    passed = bound > -margin
    decides = _unless(require == "proven" or value < -margin)
    reason = f"{reason}; {_margin(margin)}"
    if not passed and require == "proven" and value > -margin:
        reason = f"{reason}; {_proof(value, bound, margin, items)}"
    return Check("not_worse_than_current", passed, bound, -margin, reason, decides)


def no_class_forgotten(drops: Sequence[Mapping[str, Any]]) -> Check:
    """Whether some class that the current version knows is proven to be recalled clearly less."""
    judged = [drop for drop in drops if drop["items"] >= LEAST_RECALL_ITEMS]
    worst = min(judged, key=lambda drop: float(drop["upper_bound"]), default=None)
    if worst is None:
        reason = f"no class has {LEAST_RECALL_ITEMS} test items, so recall was not compared class by class"
        return Check("no_class_forgotten", True, 0.0, -RECALL_DROP, reason)
    bound = float(worst["upper_bound"])
    reason = (
        f"of class {worst['label']!r} it recalls {float(worst['value']):+.3f} against the current version, with 95 % "
        f"confidence below {bound:+.3f}; -{RECALL_DROP:g} is the limit"
    )
    return Check("no_class_forgotten", bound >= -RECALL_DROP, bound, -RECALL_DROP, reason)


def loss_not_worse(candidate: float, current: float, difference: Mapping[str, Any]) -> Check:
    """Whether the probabilities became clearly worse, even where the answers did not."""
    proven = float(difference["upper_bound"]) < 0
    ratio = candidate / max(current, 1e-12)
    reason = f"the log loss is {candidate:.4f}, the current version's {current:.4f}; {LOSS_RATIO:g} times is the limit"
    return Check("log_loss_not_worse", not (proven and ratio > LOSS_RATIO), ratio, LOSS_RATIO, reason)


def same_in_fresh_process(largest_difference: float) -> Check:
    """Whether a new process that loads the export gets the answers it was made to give."""
    passed = largest_difference <= PARITY_LIMIT
    reason = f"a fresh process differs by {largest_difference:.2g} of the spread; the limit is {PARITY_LIMIT:g}"
    return Check("parity_fresh_process", passed, largest_difference, PARITY_LIMIT, reason, waivable=False)


def head_equals_graph(largest_difference: float) -> Check:
    """Whether the head's own numbers, applied to features, give the exported graph's answers."""
    passed = largest_difference <= PARITY_LIMIT
    reason = f"head and graph differ by {largest_difference:.2g}; the limit is {PARITY_LIMIT:g}"
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
            f"{_counted(items, 'test item')}; {LEAST_TEST} are needed for a sure verdict",
            insufficient,
        ),
        Check(
            "test_items_a_class",
            fewest_of_a_class >= LEAST_TEST_A_CLASS,
            fewest_of_a_class,
            LEAST_TEST_A_CLASS,
            f"the smallest class has {_counted(fewest_of_a_class, 'test item')}; {LEAST_TEST_A_CLASS} are needed",
            insufficient,
        ),
    ]


def fresh_test(uses: int) -> Check:
    """Whether the same test items have judged so many versions that they were, in effect, chosen by."""
    reason = (
        f"these test items have judged {_counted(uses, 'version')} of this model; after {MOST_TEST_USES} new ones are "
        "needed, since the best of many is lucky"
    )
    return Check("fresh_test", uses <= MOST_TEST_USES, uses, MOST_TEST_USES, reason, Verdict.INSUFFICIENT)


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _unless(rejecting: bool) -> Verdict:
    return Verdict.REJECTED if rejecting else Verdict.INSUFFICIENT


def _gain(value: float, bound: float, metric: str) -> str:
    return f"{value:+.3f} {metric}, with 95 % confidence above {bound:+.3f}"


def _proof(value: float, bound: float, margin: float, items: int) -> str:
    """What to do for want of a proof. A bound nears its value as the root of the number of items grows."""
    wanted = items * ((value - bound) / (value + margin)) ** 2
    more = f"about {float(format(wanted, '.2g')):.0f} test items instead of {items} would prove such a difference; "
    return f"{more if wanted <= _MOST_WANTED else ''}gate.require 'not_worse' asks for no proof"


def _margin(margin: float) -> str:
    return f"the margin is {margin:.3g}"
