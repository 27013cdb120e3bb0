"""A whole probe job, 200 images of 96 x 96 on MobileNetV2 (weights none): seconds, and what a version must keep to.

The base is published and a first head trained, so that the process is warm; then the same recipe runs again into
another model. Ends with status 1 unless the second job takes at most 10 seconds, both heads have the same weights, the
base's files are as they were, and the base stores each weight once.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import sys
import tempfile
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

ITEMS, SIDE, CLASSES = 200, 96, 5
MOST_SECONDS = 10.0
MOST_SIZE = 1.1
PARAMETERS = 2_257_984
"""Of MobileNetV2 without its top; 4 bytes each."""


def archive(path: Path) -> None:
    """A zip archive of PNG images with one folder a class."""
    from PIL import Image

    from training.experiment.made import images

    pixels, y = images(ITEMS, SIDE, CLASSES)
    with zipfile.ZipFile(path, "w") as made:
        for item, (picture, label) in enumerate(zip(pixels, y, strict=True)):
            held = io.BytesIO()
            Image.fromarray(picture).save(held, "PNG")
            made.writestr(f"class-{label}/{item:04d}.png", held.getvalue())


def job(name: str, place: Path, base: dict[str, Any], more: dict[str, Any]) -> float:
    """Run one recipe in this process; its seconds."""
    from training.run import train

    file = place / f"{name}.json"
    file.write_text(json.dumps({"apiVersion": "transfer/v1", "name": name, "base": base, **more}))
    failures: list[str] = []

    def told(event: Any) -> None:
        if type(event).__name__ == "Failed":
            failures.append(str(event))

    began = time.perf_counter()
    if train(str(file), place / "repository", None, None, [], told) != 0:
        raise RuntimeError(f"{name} failed: {failures}")
    return time.perf_counter() - began


def digests(version: Path) -> dict[str, str]:
    """sha256 of every file of a version."""
    return {
        str(path.relative_to(version)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(version.rglob("*"))
        if path.is_file()
    }


def head_weights(version: Path) -> str:
    """A digest of the head's numbers alone."""
    (file,) = version.rglob("head.npz")
    with np.load(file) as arrays:
        parts = [arrays[name].tobytes() for name in ("weights", "bias")]
    return hashlib.sha256(b"".join(parts)).hexdigest()


def main() -> int:
    """Print the figures; 0 when all are met."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", type=Path, metavar="DIR", help="leave everything there")
    kept = parser.parse_args().keep
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    with tempfile.TemporaryDirectory() as name:
        place = kept or Path(name)
        place.mkdir(parents=True, exist_ok=True)
        archive(place / "images.zip")
        application = {"kind": "application", "name": "MobileNetV2", "shape": [SIDE, SIDE, 3]}
        print(f"base published: {job('mobilenet', place, application, {}):.1f} s")
        base = place / "repository" / "mobilenet" / "1"
        before = digests(base)
        head = {
            "dataset": {"uri": str(place / "images.zip")},
            "finetune": {"enabled": "never"},
            "baselines": ["majority", "linear_raw"],
        }
        on_base = {"kind": "version", "ref": "mobilenet"}
        print(f"first head, cold: {job('first', place, on_base, head):.1f} s")
        seconds = job("second", place, on_base, head)
        print(f"second head, warm: {seconds:.1f} s (at most {MOST_SECONDS:g})")
        heads = [place / "repository" / one / "1" for one in ("first", "second")]
        same = head_weights(heads[0]) == head_weights(heads[1])
        untouched = digests(base) == before
        stored = sum(path.stat().st_size for path in (base / "variables").iterdir())
        print(f"the same recipe twice gives the same weights: {same}; the base is as it was: {untouched}")
        print(f"the base's variables: {stored} bytes, {stored / (4 * PARAMETERS):.3f} times its parameters")
        small = stored <= MOST_SIZE * 4 * PARAMETERS
    return 0 if seconds <= MOST_SECONDS and same and untouched and small else 1


if __name__ == "__main__":
    sys.exit(main())
