"""Labels that are probably the same: other spelling, or one letter wrong."""

from __future__ import annotations

from training.data.contents import in_label_order
from training.data.findings import Findings

RARE = 0.1
"""A misspelt label has at most this share of the items of the right one."""
SHORTEST = 4
"""Letters, below which one letter makes another word."""
MOST_COMPARED = 2_000
"""Classes, beyond which they are not compared with each other."""


def check(findings: Findings) -> None:
    """Warn of pairs."""
    spellings: dict[str, list[str]] = {}
    for label in in_label_order(findings.counts):
        spellings.setdefault(" ".join(label.replace("_", " ").replace("-", " ").casefold().split()), []).append(label)
    for same in spellings.values():
        if len(same) > 1:
            message = f"labels that differ in spelling only: {', '.join(map(repr, same))}"
            findings.warn("similar_labels", message, same[0])
    if len(spellings) <= MOST_COMPARED:
        _warn_of_typos(findings)


def _warn_of_typos(findings: Findings) -> None:
    counts = findings.counts
    for rare in in_label_order(counts):
        for usual in in_label_order(counts):
            if 0 < counts[rare] <= max(2, RARE * counts[usual]) < counts[usual] and is_typo(rare, usual):
                message = f"{rare!r} ({counts[rare]} items) may be {usual!r} ({counts[usual]} items) misspelt"
                findings.warn("label_typo", message, rare)


def is_typo(one: str, other: str) -> bool:
    """Whether two words differ by one letter more, less or other, or by two neighbours that changed places."""
    one, other = one.casefold(), other.casefold()
    if one == other or abs(len(one) - len(other)) > 1 or min(len(one), len(other)) < SHORTEST:
        return False
    start = next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    rest, other_rest = one[start:], other[start:]
    # Words that differ in a digit are meant to: "class 1" and "class 2".
    if any(letter.isdigit() for letter in (rest[:1] + other_rest[:1])):
        return False
    swapped = len(rest) > 1 and rest[:2] == other_rest[1::-1] and rest[2:] == other_rest[2:]
    return rest[1:] == other_rest[1:] or rest[1:] == other_rest or rest == other_rest[1:] or swapped
