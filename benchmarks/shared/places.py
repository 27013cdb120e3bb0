"""Where benchmarks keep what is dear to make: models and other servers' environments, under ``var/bench``."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

BENCHMARKS = Path(__file__).resolve().parent.parent
KEPT = BENCHMARKS.parent / "var" / "bench"


def made_once(name: str, module: str) -> Path:
    """``var/bench/models/NAME``, with version 1 in it; ``python -m module DIRECTORY`` writes that when it is missing.

    It is written beside its place and renamed, so that two benchmarks may make it at once and neither sees half of it.
    """
    place = KEPT / "models" / name
    if not place.exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(dir=place.parent, prefix=f".{name}-"))
        environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": str(BENCHMARKS)}
        command = [sys.executable, "-m", module, str(scratch / "1")]
        made = subprocess.run(command, env=environment, capture_output=True, text=True)
        if made.returncode:
            raise RuntimeError(f"{module} could not make {place}: {made.stderr[-2000:]}")
        try:
            scratch.rename(place)
        except OSError:
            shutil.rmtree(scratch)
    return place


def repository(directory: Path, *models: Path) -> Path:
    """A repository in this directory that serves these models, by links."""
    directory.mkdir(parents=True, exist_ok=True)
    for model in models:
        link = directory / model.name
        if not link.exists():
            link.symlink_to(model, target_is_directory=True)
    return directory
