"""Each peer's environment under ``var/bench/peers``, made from its pinned requirements when missing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from shared.places import KEPT

HERE = Path(__file__).parent


def interpreter(name: str) -> Path:
    """The Python with this peer in it.

    Raises:
        RuntimeError: its environment cannot be made; with the installer's words.
    """
    place, wanted = KEPT / "peers" / name, (HERE / "requirements" / f"{name}.txt").read_text()
    python, made = place / "bin" / "python", place / "made-from.txt"
    if made.exists() and made.read_text() == wanted:
        return python
    print(f"making {place}, once", file=sys.stderr, flush=True)
    subprocess.run([sys.executable, "-m", "venv", str(place)], check=True)
    command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    command += ["-r", str(HERE / "requirements" / f"{name}.txt")]
    said = subprocess.run(command, capture_output=True, text=True)
    if said.returncode:
        raise RuntimeError(f"the environment of {name} cannot be made: {said.stderr[-1500:]}")
    made.write_text(wanted)
    return python
