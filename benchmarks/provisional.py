"""How soon a head answers: 200 images of 96 x 96 for MobileNetV2 (random weights), each upload for a head of its own.

A client uploads them with ``provisional`` and asks the head as soon as the upload is answered. Counted is from when the
last byte of the upload was sent to when the head's answer was there; ends with status 1 when the median is more than a
second. Beside it stands what the check of the data, which decodes them, takes by itself.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
from shared.pictures import archive
from shared.places import KEPT
from shared.results import Table, at_most, conclude, parser
from shared.server_process import serving

NAME, SIDE, ITEMS = "mobilenet96", 96, 200
MOST_S = 1.0
_BOUNDARY = "a-boundary-that-is-in-no-image"


def base() -> Path:
    """A repository with the base in it; trained when it is missing."""
    place = KEPT / "bases" / NAME
    if not place.exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        application = {"kind": "application", "name": "MobileNetV2", "shape": [SIDE, SIDE, 3]}
        with tempfile.TemporaryDirectory(dir=place.parent, prefix=".making-") as scratch:
            recipe = Path(scratch) / "recipe.json"
            recipe.write_text(json.dumps({"apiVersion": "transfer/v1", "name": NAME, "base": application}))
            command = [sys.executable, "-m", "training", "train", str(recipe), "--repository", scratch, "--json"]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            (Path(scratch) / NAME).rename(place)
    return place


def form(file: Path, head: str) -> bytes:
    """A multipart form, whole, so that the moment of its last byte is known."""
    parts = [
        f'--{_BOUNDARY}\r\ncontent-disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in (("head", head), ("provisional", "true"))
    ]
    opening = f'--{_BOUNDARY}\r\ncontent-disposition: form-data; name="file"; filename="a.zip"\r\n\r\n'
    return b"".join([*parts, opening.encode(), file.read_bytes(), f"\r\n--{_BOUNDARY}--\r\n".encode()])


def first_answer(rest: str, file: Path, head: str, row: list[object]) -> tuple[float, float]:
    """Seconds from the last byte of the upload to the head's first answer, and what it says of its accuracy."""
    content, sent = form(file, head), 0.0

    def body() -> Iterator[bytes]:
        # Asked for more, a body knows that what it gave was sent.
        nonlocal sent
        for start in range(0, len(content), 1 << 18):
            yield content[start : start + (1 << 18)]
        sent = time.perf_counter()

    headers = {"content-type": f"multipart/form-data; boundary={_BOUNDARY}", "content-length": str(len(content))}
    with httpx.Client(base_url=rest, timeout=60) as http:
        answer = http.post(f"/v1/models/{NAME}:tune", content=body(), headers=headers)
        if answer.status_code != httpx.codes.ACCEPTED or answer.json()["provisional"]["version"] != 0:
            raise RuntimeError(f"no head answers: {answer.text}")
        found = http.post(f"/v1/models/{head}:predict", json={"instances": row})
        seconds = time.perf_counter() - sent
        if found.status_code != httpx.codes.OK or found.headers["graft-model-version"] != "0":
            raise RuntimeError(f"another head answers: {found.headers} {found.text[:200]}")
        http.post(f"/v1/jobs/{answer.json()['id']}:cancel")
    return seconds, answer.json()["provisional"]["accuracy"]


def main() -> int:
    """Print the figures; 0 when the bar is met."""
    options = parser(__doc__).parse_args()
    table = Table(("step", "seconds"))
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        file = place / "images.zip"
        archive(file, ITEMS, SIDE)
        (place / "models").mkdir()
        (place / "models" / NAME).symlink_to(base())
        row = np.zeros((1, SIDE, SIDE, 3)).tolist()
        rounds = []
        with serving(place / "run", "--repository", str(place / "models"), "--warm-trainers", "0") as server:
            server.wait_ready()
            for number in range(3 if options.quick else 9):
                seconds, accuracy = first_answer(server.rest, file, f"head-{number}", row)
                rounds.append(seconds)
        began = time.perf_counter()
        command = [sys.executable, "-m", "training", "check", str(file), "--json"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        table.add("the check of the data by itself", [time.perf_counter() - began])
        table.add("from the last byte to the first answer", rounds)
        table.add("accuracy it says of itself", [accuracy])
    held = [at_most("the head answers after", rounds, MOST_S, "s")]
    return conclude("provisional", table, held, options)


if __name__ == "__main__":
    sys.exit(main())
