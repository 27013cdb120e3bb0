"""MobileNetV2 and VGG16 (weights none) through the whole trainer on images of 224 x 224: seconds and memory a phase.

The images are drawn here: each class is a pattern of its own under noise. With ``--items 10000`` they are the proof
that images stream from disk: the peak memory of the run stays what a few batches and the features need.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from shared.pictures import archive

SIDE = 224


def train(recipe: dict[str, Any], place: Path, repository: Path) -> dict[str, Any]:
    """Run one recipe as its own process; what it published, and what it cost."""
    file = place / f"{recipe['name']}.json"
    file.write_text(json.dumps(recipe))
    command = [sys.executable, "-m", "training", "train", str(file), "--repository", str(repository), "--json"]
    began = time.monotonic()
    ran = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    last = json.loads(ran.stdout.strip().rpartition("\n")[2])
    if ran.returncode:
        raise SystemExit(f"{recipe['name']}: {last}")
    version = repository / recipe["name"] / str(last["version"])
    report = json.loads((version / "assets.extra/graft/report.json").read_text())
    return {"seconds": time.monotonic() - began, "report": report}


def show(name: str, found: dict[str, Any]) -> None:
    """A line a phase."""
    report = found["report"]
    print(f"\n{name}: {found['seconds']:.1f} s in all. {report['headline']}")
    print(f"{'phase':<12}{'s':>9}{'peak MB':>10}")
    memory = report["phase_memory_mb"]
    for phase, seconds in report["timings_s"].items():
        print(f"{phase:<12}{seconds:>9.1f}{memory.get(phase, 0.0):>10.0f}")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--bases", nargs="+", default=["MobileNetV2", "VGG16"])
    parser.add_argument("--items", type=int, default=150)
    parser.add_argument("--side", type=int, default=SIDE, help="pixels of a side, of images and base")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        data = place / "images.zip"
        archive(data, options.items, options.side)
        print(f"{options.items} images of {options.side} x {options.side}, {data.stat().st_size / 1e6:.0f} MB of JPEG")
        for base in options.bases:
            own = base.lower()
            shape = [options.side, options.side, 3]
            recipe = {
                "apiVersion": "transfer/v1",
                "name": own,
                "base": {"kind": "application", "name": base, "shape": shape},
            }
            show(f"{base}, base", train(recipe, place, place / "models"))
            recipe = {
                "apiVersion": "transfer/v1",
                "name": f"{own}-patterns",
                "base": {"kind": "version", "ref": own},
                "dataset": {"uri": str(data)},
                "gate": {"mode": "record"},
                "baselines": ["majority", "linear_raw"],
                "finetune": {"enabled": "never"},
            }
            show(f"{base}, head", train(recipe, place, place / "models"))


if __name__ == "__main__":
    main()
