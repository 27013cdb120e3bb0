"""What a reader must know before believing the figures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from training.report.arms import SIMPLER
from training.report.notation import plural
from training.report.verdict import BETTER, comparison

FEWEST_ITEMS, FEWEST_OF_A_CLASS = 100, 5


def cautions(document: Mapping[str, Any]) -> list[dict[str, str]]:
    """Warnings from the figures of a report, each with a code for programs and a sentence for people."""
    found: list[tuple[str, str]] = []
    arms, differences = document.get("arms", {}), document.get("differences", {})
    if arms:
        items = arms["candidate"]["items"]
        if items < FEWEST_ITEMS:
            found.append(
                ("small_test", f"The test has {plural(items, 'item')}; below {FEWEST_ITEMS} little is proven.")
            )
    found += [
        (f"worse_than_{arm}", f"Transfer did harm here: {BETTER[arm]}, surely.")
        for arm in SIMPLER
        if arm in differences and comparison(differences[arm], arm) == BETTER[arm]
    ]
    if "majority" in differences and differences["majority"]["interval"]["low"] <= 0:
        found.append(("not_better_than_majority", "It is not surely better than always giving the same answer."))
    fewest = document.get("fewest_of_a_class")
    if fewest is not None and fewest < FEWEST_OF_A_CLASS and arms:
        found.append(("small_class", f"The rarest class has {plural(fewest, 'test item')}; its figures say nothing."))
    split = document.get("split") or {}
    digests = split.get("digests") or {}
    if digests.get("test") and digests.get("test") == digests.get("validation"):
        found.append(("validation_is_test", "The test was looked at while training: its figures flatter the model."))
    if document.get("current_skipped"):
        found.append(("not_compared", f"{document['current_skipped'].capitalize()}."))
    classes = (document.get("recipe") or {}).get("head", {}).get("classes") or {}
    if classes.get("mode") == "extend" and not classes.get("replay"):
        found.append(("replay_missing", "Old classes were kept without data of them: their recall is unknown."))
    return [{"code": code, "message": message} for code, message in found]
