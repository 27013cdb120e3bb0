"""Texts that were decoded wrongly, hold what is no text, or give the answer away."""

from __future__ import annotations

import re
from collections import defaultdict

from training.data.contents import Contents
from training.data.findings import Findings
from training.data.targets import Classes

MOJIBAKE = re.compile(
    "\u00c3[\u0080-\u00bf\u0192\u201a\u2020\u2021\u20ac]|\u00e2\u20ac[\u2122\u0153\u009d\u201c\u2013\u2014]|\u00c2[\u00a0-\u00bf]"
)
"""UTF-8 that was read as Latin-1 or Windows-1252: an accented letter became two."""
LOST = "\ufffd"
MARKUP = re.compile(r"</?(p|br|div|span|a|b|i|html|body|td|tr|li)\b[^>]*>|&(amp|lt|gt|quot|nbsp);", re.IGNORECASE)
CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
LONG = 100_000
"""Characters."""
LEAST_ITEMS, NAMING = 10, 0.95


def warn(contents: Contents, findings: Findings) -> None:
    """Everything about texts that a person had better know."""
    for item, text in enumerate(contents.texts):
        if MOJIBAKE.search(text):
            found = MOJIBAKE.search(text)
            message = f"{found.group() if found else ''!r} looks like UTF-8 that was read as Latin-1"
            findings.warn("mixed_encoding", message, contents.place(item))
        if LOST in text:
            message = f"it holds {text.count(LOST)} replacement characters: letters were lost when it was decoded"
            findings.warn("lost_characters", message, contents.place(item))
        if CONTROL.search(text):
            findings.warn("control_characters", "it holds control characters, which are no text", contents.place(item))
        if MARKUP.search(text):
            findings.warn("markup", "it holds HTML, which would be learned as words", contents.place(item))
        if len(text) > LONG:
            findings.warn("long_text", f"it has {len(text)} characters: is it one item?", contents.place(item))
    if contents.texts and isinstance(contents.targets, Classes):
        _warn_of_naming(contents, findings)


def _warn_of_naming(contents: Contents, findings: Findings) -> None:
    """Texts of a class that nearly all hold its name, where those of others do not."""
    of_class: dict[str, list[set[str]]] = defaultdict(list)
    for label, text in zip(contents.labels, contents.texts, strict=True):
        of_class[label].append(set(re.findall(r"\w+", text.casefold())))
    for label, texts in of_class.items():
        word = label.casefold()
        others = [text for other, several in of_class.items() if other != label for text in several]
        if len(texts) < LEAST_ITEMS or not others:
            continue
        naming, elsewhere = (sum(word in text for text in several) / len(several) for several in (texts, others))
        if naming >= NAMING and elsewhere < 1 - NAMING:
            message = f"nearly every text of class {label!r} holds the word {word!r}, and hardly any other does"
            findings.warn("text_names_label", message, label)
