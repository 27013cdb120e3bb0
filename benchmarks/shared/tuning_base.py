"""A published base, MobileNetV2 for 224 x 224 images with random weights, and a server's tuning API around it."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx
from shared.places import KEPT

NAME, SIDE = "mobilenet", 224
_ENDED = ("succeeded", "failed", "cancelled")


def base() -> Path:
    """The base's directory, ``.../mobilenet`` with version 1 in it; trained when it is missing."""
    place = KEPT / "bases" / NAME
    if not place.exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        application = {"kind": "application", "name": "MobileNetV2", "shape": [SIDE, SIDE, 3]}
        with tempfile.TemporaryDirectory(dir=place.parent, prefix=".making-") as scratch:
            recipe = Path(scratch) / "recipe.json"
            recipe.write_text(json.dumps({"apiVersion": "transfer/v1", "name": NAME, "base": application}))
            command = [sys.executable, "-m", "training", "train", str(recipe), "--repository", scratch, "--json"]
            made = subprocess.run(command, capture_output=True, text=True)
            if made.returncode:
                raise RuntimeError(f"the base cannot be made: {made.stdout[-1000:]} {made.stderr[-1000:]}")
            (Path(scratch) / NAME).rename(place)
    return place


def tune(http: httpx.Client, archive: Path, head: str, recipe: dict[str, Any]) -> str:
    """Upload labelled images and start a job; its id."""
    with archive.open("rb") as file:
        answer = http.post(
            f"/v1/models/{NAME}:tune",
            data={"head": head, "recipe": json.dumps(recipe), "require_new": "true"},
            files={"file": (archive.name, file)},
            timeout=120,
        )
    if answer.status_code != httpx.codes.ACCEPTED:
        raise RuntimeError(f"the upload is refused: {answer.text[:1000]}")
    return str(answer.json()["id"])


def job(http: httpx.Client, name: str) -> dict[str, Any]:
    """A job as it is now."""
    found: dict[str, Any] = http.get(f"/v1/jobs/{name}").json()
    return found


def wait_ended(http: httpx.Client, name: str) -> dict[str, Any]:
    """Wait until a job has ended, however."""
    while (found := job(http, name))["state"] not in _ENDED:
        time.sleep(0.02)
    return found
