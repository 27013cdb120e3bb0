"""Labelled JPEG images that are drawn: each class is a pattern of its own under noise, no two images the same."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

CLASSES = ("stripes", "checks", "rings", "ramps", "spots")


def pictures(items: int, side: int) -> Iterator[tuple[str, bytes]]:
    """So many JPEG images, in turn of each class."""
    down, across = np.mgrid[0:side, 0:side] / side
    for item in range(items):
        draw = np.random.default_rng(item)
        label = CLASSES[item % len(CLASSES)]
        waves, shift = draw.uniform(6, 14), draw.uniform(0, 1, 2)
        x, y = across + shift[0], down + shift[1]
        pattern = {
            "stripes": np.sin(waves * 6 * x),
            "checks": np.sign(np.sin(waves * 4 * x) * np.sin(waves * 4 * y)),
            "rings": np.sin(waves * 8 * np.hypot(x - 1, y - 1)),
            "ramps": (waves * x) % 1 * 2 - 1,
            "spots": (np.sin(waves * 5 * x) * np.sin(waves * 5 * y) > 0.7) * 2.0 - 1,
        }[label]
        colour = draw.uniform(40, 120, 3)
        noise = draw.normal(0, 12, (side, side, 3))
        image = np.clip(128 + pattern[..., None] * colour + noise, 0, 255).astype(np.uint8)
        held = io.BytesIO()
        Image.fromarray(image).save(held, "JPEG", quality=85)
        yield label, held.getvalue()


def archive(path: Path, items: int, side: int) -> None:
    """A zip archive with one folder a class."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as made:
        for item, (label, data) in enumerate(pictures(items, side)):
            made.writestr(f"{label}/{item:06d}.jpg", data)
