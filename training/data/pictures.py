"""One image file: whether it can be decoded, and what is seen of it while it is, so that it is decoded once only."""

from __future__ import annotations

import io
import warnings
from array import array
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

MOST_PIXELS = 50_000_000
"""Of one image; more is a decompression bomb or a mistake."""
FORMATS = frozenset({"PNG", "JPEG", "MPO"})
"""As Pillow calls them; MPO is a JPEG with more pictures after the first, as telephones take them."""
THUMBNAIL = 8
"""Pixels of a side."""
ORIENTATION = 0x0112
"""The EXIF tag; 1 is upright."""


class UnfitImage(Exception):
    """An image that training cannot use, with the code of the fault."""

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Picture:
    """What one image looks like from afar."""

    width: int
    height: int
    mode: str
    """Pillow's name of its colours."""
    turned: bool
    """Its EXIF data asks viewers to turn it, which decoders of training data do not."""
    thumbnail: NDArray[np.uint8]
    """[8, 8] grey."""
    fingerprint: int
    """64 bits: where the grey grows from left to right."""
    spread: int
    """Difference of the lightest and the darkest grey, 0..255."""


@dataclass(slots=True)
class Pictures:
    """Of all images, in compact columns."""

    widths: array[int] = field(default_factory=lambda: array("i"))
    heights: array[int] = field(default_factory=lambda: array("i"))
    modes: list[str] = field(default_factory=list)
    turned: bytearray = field(default_factory=bytearray)
    spreads: bytearray = field(default_factory=bytearray)
    _fingerprints: array[int] = field(default_factory=lambda: array("Q"))
    _thumbnails: bytearray = field(default_factory=bytearray)

    def add(self, picture: Picture) -> None:
        """The next one."""
        self.widths.append(picture.width)
        self.heights.append(picture.height)
        self.modes.append(picture.mode)
        self.turned.append(picture.turned)
        self.spreads.append(picture.spread)
        self._fingerprints.append(picture.fingerprint)
        self._thumbnails += picture.thumbnail.tobytes()

    def __len__(self) -> int:
        return len(self.modes)

    @property
    def fingerprints(self) -> NDArray[np.uint64]:
        """[n]."""
        return np.array(self._fingerprints, dtype=np.uint64)

    @property
    def thumbnails(self) -> NDArray[np.uint8]:
        """[n, 64]."""
        return np.frombuffer(bytes(self._thumbnails), dtype=np.uint8).reshape(-1, THUMBNAIL**2)


def look_at(data: bytes, *, named_as_image: bool = True) -> Picture:
    """Decode an image in full.

    Raises:
        UnfitImage: it cannot be used, and why.
        Exception: whatever else its bytes make Pillow raise.
    """
    if not data:
        raise UnfitImage("unreadable_image", "this file is empty")
    try:
        with warnings.catch_warnings():
            # Pillow warns about large images; the limit here is ours, and is a fault.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data)) as image:
                return _seen(image)
    except UnidentifiedImageError:
        if named_as_image:
            raise UnfitImage("unreadable_image", "this is not an image, whatever its name says") from None
        raise UnfitImage("unsupported_file", "only PNG and JPEG images belong in a class folder") from None
    except Image.DecompressionBombError as error:
        raise UnfitImage("too_many_pixels", str(error)) from error


def _seen(image: Image.Image) -> Picture:
    if image.format not in FORMATS:
        raise UnfitImage("unsupported_file", f"this is a {image.format} file; only PNG and JPEG images are read")
    if image.width * image.height > MOST_PIXELS:
        raise UnfitImage("too_many_pixels", f"this image has {image.width} x {image.height} pixels")
    if image.mode == "CMYK":
        raise UnfitImage("unsupported_colours", "this image is in CMYK colours, made for print; save it as RGB")
    image.load()
    grey = _grey(image)
    low, high = grey.getextrema()
    steps = np.asarray(grey.resize((THUMBNAIL + 1, THUMBNAIL), Image.Resampling.BOX), dtype=np.int16)
    bits = np.packbits(steps[:, 1:] > steps[:, :-1])
    return Picture(
        width=image.width,
        height=image.height,
        mode=image.mode,
        turned=image.getexif().get(ORIENTATION, 1) not in {0, 1},
        thumbnail=np.asarray(grey.resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX), dtype=np.uint8),
        fingerprint=int.from_bytes(bits.tobytes(), "big"),
        spread=int(high) - int(low),  # type: ignore[arg-type]
    )


def _grey(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I") or image.mode == "F":
        # Pillow clips deep greys at 255, which would make most of them white.
        deep = np.asarray(image, dtype=np.float64)
        return Image.fromarray(np.clip(deep / 257, 0, 255).astype(np.uint8))
    return image.convert("L")
