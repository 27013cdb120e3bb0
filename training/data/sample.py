"""Some items as a base takes them, for whoever wants a first answer before anything is trained.

Images are fitted as the base fits them, kept in proportion and padded, but by Pillow: TensorFlow takes seconds to
import. The two differ by less than a grey value on average.
"""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from service.domain.artifact import InputKind, InputSpec
from service.domain.sample import MOST_BYTES, MOST_ITEMS, Sample, SampleWish
from training.data.contents import Contents
from training.data.targets import Classes
from training.features import inputs_of

MODES = {1: "L", 3: "RGB", 4: "RGBA"}


def hand_over(contents: Contents, wish: SampleWish) -> None:
    """Write a sample of classified items; nothing, where items have no one class or the base takes other items.

    Raises:
        OSError: it cannot be written.
    """
    spec = wish.spec
    if not isinstance(contents.targets, Classes) or not _fits(contents, spec):
        return
    items = spread_out(contents.targets.labels, most_items(spec))
    inputs = inputs_of(contents, items, spec, lambda images: np.stack([fitted(one, spec) for one in images]))
    sample = Sample(tuple(contents.targets.labels[item] for item in items), inputs)
    wish.into.write_bytes(sample.to_bytes())


def most_items(spec: InputSpec) -> int:
    """How many items of this input may be handed over."""
    an_item = spec.width * (1 if spec.kind is InputKind.IMAGE else 4)
    return min(MOST_ITEMS, MOST_BYTES // (2 * an_item))


def spread_out(labels: Sequence[str], most: int) -> list[int]:
    """At most so many items, as many of each class as there is room for, from all over each class; in order."""
    of_class: dict[str, list[int]] = {}
    for item, label in enumerate(labels):
        of_class.setdefault(label, []).append(item)
    chosen: list[int] = []
    # The smallest first: what they leave of their share is the others'.
    for left, members in zip(range(len(of_class), 0, -1), sorted(of_class.values(), key=len), strict=True):
        share = min(len(members), (most - len(chosen)) // left)
        chosen += [members[place * len(members) // share] for place in range(share)]
    return sorted(chosen)


def fitted(data: bytes, spec: InputSpec) -> NDArray[np.uint8]:
    """An image file as [height, width, channels] on 0..255."""
    height, width, channels = spec.shape
    with Image.open(io.BytesIO(data)) as image:
        seen = _eight_bits(image).convert(MODES[channels])
    wide, high = seen.size
    if high * width >= wide * height:
        size = (max(1, wide * height // high), height)
    else:
        size = (width, max(1, high * width // wide))
    if size[0] > wide or size[1] > high:
        seen = seen.resize(size, Image.Resampling.BILINEAR)
    elif size != seen.size:
        # Mixed of four neighbours however many lie between, as TensorFlow does it; Pillow's own way is to average all.
        box = (0, 0, wide, high)
        seen = seen.transform(size, Image.Transform.EXTENT, box, Image.Resampling.BILINEAR)
    found = np.zeros((height, width, channels), dtype=np.uint8)
    # From what the sides would be if pixels could be divided: TensorFlow rounds once, and later.
    top = max(0, height * wide - high * width) // (2 * wide)
    left = max(0, width * high - wide * height) // (2 * high)
    found[top : top + size[1], left : left + size[0]] = np.asarray(seen).reshape(size[1], size[0], channels)
    return found


def _eight_bits(image: Image.Image) -> Image.Image:
    """Deep greys as eight bits a pixel, by their upper half, as TensorFlow reads them."""
    if not image.mode.startswith("I"):
        return image
    return Image.fromarray((np.asarray(image, dtype=np.int64) >> 8).clip(0, 255).astype(np.uint8))


def _fits(contents: Contents, spec: InputSpec) -> bool:
    if contents.numbers is not None:
        return spec.kind in {InputKind.VECTOR, InputKind.IMAGE} and contents.numbers[0].size == spec.width
    if spec.kind is InputKind.IMAGE:
        return contents.kind is spec.kind and spec.shape[2] in MODES
    return contents.kind is spec.kind
