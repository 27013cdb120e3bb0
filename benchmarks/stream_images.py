"""Do ten thousand images stream from disk? Checks a folder, an archive or records of them, and reads them in batches.

    python benchmarks/stream_images.py --images 10000 --size 64 --container folder

Prints one JSON line: items a second and the most memory the process had, in the check and in the reading of features,
beside what the images take when they are all decoded at once.
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import resource
import tempfile
import time
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

from training.data.check import check
from training.data.contents import Contents

BATCH = 64
CLASSES = 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--size", type=int, default=64, help="pixels of a side")
    parser.add_argument("--container", choices=("folder", "zip", "jsonl"), default="folder")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="graft-images-") as name:
        path = written(Path(name), options.images, options.size, options.container)
        start, began = peak_mb(), time.perf_counter()
        report, contents = check(path)
        if contents is None:
            raise SystemExit(f"the images are faulty: {report.faults[:3]}")
        checked, check_peak = time.perf_counter() - began, peak_mb()
        began = time.perf_counter()
        features = read_features(contents, options.size)
        read, read_peak = time.perf_counter() - began, peak_mb()
    print(
        json.dumps(
            {
                "container": options.container,
                "images": options.images,
                "size": options.size,
                "check_items_per_s": round(options.images / checked),
                "read_items_per_s": round(options.images / read),
                "rss_at_start_mb": round(start),
                "peak_rss_after_check_mb": round(check_peak),
                "peak_rss_after_reading_mb": round(read_peak),
                "all_decoded_would_be_mb": round(options.images * options.size**2 * 3 * 4 / 2**20),
                "features": list(features.shape),
            }
        )
    )


def written(directory: Path, images: int, size: int, container: str) -> Path:
    """Pictures like no other, in the container."""
    draw = np.random.default_rng(0)
    if container == "folder":
        for label in range(CLASSES):
            (directory / f"class-{label}").mkdir()
    archive = zipfile.ZipFile(directory / "images.zip", "w") if container == "zip" else None
    lines = (directory / "images.jsonl").open("w") if container == "jsonl" else None
    for number in range(images):
        coarse = Image.fromarray(draw.integers(0, 256, size=(8, 8, 3), dtype=np.uint8))
        stream = io.BytesIO()
        coarse.resize((size, size), Image.Resampling.BICUBIC).save(stream, "PNG", compress_level=1)
        name = f"class-{number % CLASSES}/{number:06}.png"
        if archive is not None:
            archive.writestr(name, stream.getvalue())
        elif lines is not None:
            image = base64.b64encode(stream.getvalue()).decode()
            lines.write(json.dumps({"image": image, "label": name.partition("/")[0]}) + "\n")
        else:
            (directory / name).write_bytes(stream.getvalue())
    for opened in (archive, lines):
        if opened is not None:
            opened.close()
    return directory if container == "folder" else directory / f"images.{container}"


def read_features(contents: Contents, size: int) -> np.ndarray:
    """A batch at a time, as the features phase reads; a projection stands for the base, which has its own memory."""
    projection = np.random.default_rng(1).normal(size=(size * size * 3, 16)).astype(np.float32)
    found = np.zeros((len(contents), 16), dtype=np.float32)
    for start in range(0, len(contents), BATCH):
        items = range(start, min(start + BATCH, len(contents)))
        pixels = [np.asarray(Image.open(io.BytesIO(data)), dtype=np.float32) for data in contents.encoded(items)]
        found[start : items.stop] = np.stack(pixels).reshape(len(pixels), -1) @ projection
    return found


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
