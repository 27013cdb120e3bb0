"""What a label may be: one line of text that a page, a log and a graph can hold."""

from __future__ import annotations

import unicodedata

LONGEST_LABEL = 256
"""Characters."""
UNFIT = frozenset({"Cc", "Cs", "Zl", "Zp"})
"""Controls, halves of characters, ends of lines, as Unicode's categories."""
TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Marks that turn the direction of the text around them, so that it reads as what it is not."""


def label_problem(label: str) -> str | None:
    """Why a text cannot be a label: None when it can."""
    if not label:
        return "the label is empty"
    if len(label) > LONGEST_LABEL:
        return f"the label has {len(label)} characters; at most {LONGEST_LABEL} are taken"
    if any(unicodedata.category(character) in UNFIT or character in TURNING for character in label):
        return f"the label {label!r} has control characters, which cannot be shown"
    return None
