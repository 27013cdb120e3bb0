"""MobileNetV2 and VGG16 (weights none) at 224 x 224 as published bases: seconds a phase, peak memory, size on disk."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any


def publish(name: str, side: int, place: Path) -> dict[str, Any]:
    """Make one base in a process of its own; what its report says it cost."""
    recipe = {
        "apiVersion": "transfer/v1",
        "name": name.lower(),
        "base": {"kind": "application", "name": name, "shape": [side, side, 3]},
    }
    file = place / f"{name}.json"
    file.write_text(json.dumps(recipe))
    began = time.perf_counter()
    command = [
        sys.executable,
        "-m",
        "training",
        "train",
        str(file),
        "--repository",
        str(place / "repository"),
        "--json",
    ]
    subprocess.run(command, check=True, capture_output=True)
    seconds = time.perf_counter() - began
    version = place / "repository" / name.lower() / "1"
    report = json.loads((version / "assets.extra" / "graft" / "report.json").read_text())
    size = sum(path.stat().st_size for path in version.rglob("*") if path.is_file())
    return {
        "base": name,
        "side": side,
        "seconds": round(seconds, 1),
        "phases": report["timings_s"],
        "peak_memory_mb": report["peak_memory_mb"],
        "stored_ratio": round(report["export"]["stored_ratio"], 3),
        "disk_mb": round(size / 2**20, 1),
    }


def main() -> None:
    """Print one JSON line a base."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=["MobileNetV2", "VGG16"])
    parser.add_argument("--side", type=int, default=224)
    options = parser.parse_args()
    for name in options.names:
        with tempfile.TemporaryDirectory(prefix="graft-") as place:
            print(json.dumps(publish(name, options.side, Path(place))), flush=True)


if __name__ == "__main__":
    main()
