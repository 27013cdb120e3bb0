"""Images that differ from the others in what they are, not in what they show: colours, size, turned, all one colour."""

from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np
from numpy.typing import NDArray

from training.data.contents import Contents
from training.data.findings import Findings
from training.data.pictures import Pictures

USUAL = frozenset({"L", "RGB"})
EXPLAINED = {
    "RGBA": "has a transparent layer, which is dropped",
    "LA": "has a transparent layer, which is dropped",
    "P": "is in a palette of colours; a transparent one is dropped",
    "1": "is black and white without greys",
    "I": "has 16 bits a pixel, which are scaled down to 8",
    "I;16": "has 16 bits a pixel, which are scaled down to 8",
    "I;16B": "has 16 bits a pixel, which are scaled down to 8",
    "F": "has floating point numbers for pixels",
}
THIN = 4.0
"""Longer than wide, or wider than long, beyond which fitting it to a square leaves little."""
ODD_SIZE = 8.0
"""Times smaller than the middle one, by area of a side."""
LEAST_ITEMS = 20


def warn(contents: Contents, findings: Findings) -> None:
    """Everything that can be told from afar."""
    pictures = contents.pictures
    if pictures is None or not len(pictures):
        return
    widths, heights = np.array(pictures.widths, dtype=np.float64), np.array(pictures.heights, dtype=np.float64)
    _warn_of_colours(contents, pictures, findings)
    turned = np.frombuffer(bytes(pictures.turned), dtype=np.uint8) > 0
    _warn_of(
        turned, "turned_image", "its EXIF data says it is to be turned, which training does not do", contents, findings
    )
    flat = np.frombuffer(bytes(pictures.spreads), dtype=np.uint8) == 0
    _warn_of(flat, "one_colour", "it is all of one colour and shows nothing", contents, findings)
    thin = np.maximum(widths / heights, heights / widths) > THIN
    _warn_of(thin, "thin_image", f"it is over {THIN:.0f} times as long as wide, or the other way", contents, findings)
    sides = np.sqrt(widths * heights)
    tiny = sides * ODD_SIZE < np.median(sides)
    _warn_of(tiny, "tiny_image", "it is much smaller than the others: a thumbnail?", contents, findings)
    _warn_of_leaks(contents, pictures, findings)


def _warn_of(which: NDArray[np.bool_], code: str, message: str, contents: Contents, findings: Findings) -> None:
    for item in np.flatnonzero(which):
        findings.warn(code, message, contents.place(int(item)))


def _warn_of_colours(contents: Contents, pictures: Pictures, findings: Findings) -> None:
    modes = Counter(pictures.modes)
    for item, mode in enumerate(pictures.modes):
        if mode not in USUAL:
            findings.warn("odd_colours", f"it {EXPLAINED.get(mode, f'is in the mode {mode}')}", contents.place(item))
    if modes["L"] and modes["RGB"]:
        few = min(("L", "RGB"), key=modes.__getitem__)
        kind = "grey" if few == "L" else "coloured"
        message = f"{modes[few]} images are {kind} where {modes['L'] + modes['RGB'] - modes[few]} are not"
        findings.warn("mixed_colours", message, contents.place(pictures.modes.index(few)))


def _warn_of_leaks(contents: Contents, pictures: Pictures, findings: Findings) -> None:
    """The size or the colours alone tell the classes apart: then so will the model."""
    for name, signs in (
        ("size", list(zip(pictures.widths, pictures.heights, strict=True))),
        ("colour mode", pictures.modes),
    ):
        of_class: dict[str, set[object]] = defaultdict(set)
        for label, sign in zip(contents.labels, signs, strict=True):
            of_class[label].add(sign)
        distinct = set().union(*of_class.values())
        one_each = len(distinct) == len(of_class) and all(len(one) == 1 for one in of_class.values())
        if one_each and len(of_class) > 1 and len(contents) >= LEAST_ITEMS:
            message = f"each class has a {name} of its own: the model can learn that in place of what is shown"
            findings.warn("format_leaks_label", message)
