"""In what manner a model learned, in words that always mean the same: probe, partial or full fine-tuning, from
scratch.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

MANNERS: Mapping[str, str] = {
    "probe": "The base stayed as it was, bit for bit; only the head was fitted.",
    "partial": "Fine-tuned in part: the head was fitted first, then trained together with some layers of the base.",
    "full": "Fine-tuned in full: the head was fitted first, then trained together with the whole base.",
    "scratch": "Trained from scratch: all weights began at random.",
    "as_it_is": "Taken as it is: nothing was trained.",
}


def manner_of(document: Mapping[str, Any]) -> str:
    """One of ``MANNERS`` from what was really trained, not from what the recipe asked for."""
    finetune = document.get("finetune") or {}
    if finetune.get("kept"):
        return "full" if finetune.get("mode") == "full" else "partial"
    if "probe" in document:
        return "probe"
    return "scratch" if document.get("histories") or document.get("arms") else "as_it_is"
