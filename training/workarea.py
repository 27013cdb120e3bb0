"""Where a job keeps what its finished phases found, so that a run after a crash goes on behind the last of them.

A phase is finished when its result has its name; results are written beside it first and renamed. Everything lies under
a digest of the task: another task in the same place starts anew and removes what the old one left.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

STATE = "state"
LENGTHS = " lengths"
"""What the lengths of an array's texts are kept under, behind its own name."""


class WorkArea:
    """The state of one task in a working directory."""

    def __init__(self, directory: Path, task: Mapping[str, Any]) -> None:
        key = hashlib.sha256(json.dumps(task, sort_keys=True, default=str).encode()).hexdigest()[:20]
        parent = directory / STATE
        self.directory = parent / key
        self.directory.mkdir(parents=True, exist_ok=True)
        for other in parent.iterdir():
            if other.name != key:
                shutil.rmtree(other)

    def result(self, phase: str) -> dict[str, Any] | None:
        """What a phase found, or None when it has not finished."""
        path = self._result(phase)
        if not path.exists():
            return None
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return found

    def finish(self, phase: str, result: Mapping[str, Any]) -> None:
        """Note that a phase has finished. What it wrote elsewhere must be complete by now."""
        self.write_atomically(self._result(phase), json.dumps(result, default=_plain).encode())

    def arrays(self, name: str) -> dict[str, NDArray[Any]]:
        """Arrays saved under a name."""
        with np.load(self.directory / f"{name}.npz") as file:
            return {
                key: _texts(file[key], file[key + LENGTHS]) if key + LENGTHS in file else file[key]
                for key in file.files
                if not key.endswith(LENGTHS)
            }

    def save_arrays(self, name: str, **arrays: NDArray[Any]) -> None:
        """Keep some arrays under a name: of numbers, or of texts in bytes."""
        stored: dict[str, NDArray[Any]] = {}
        for key, array in arrays.items():
            if array.dtype == object:
                # As numpy's own arrays of bytes they would lose zeros at the end, and as objects they would be pickled.
                stored[key] = np.frombuffer(b"".join(array.tolist()), np.uint8)
                stored[key + LENGTHS] = np.array([len(text) for text in array.tolist()], np.int64)
            else:
                stored[key] = array
        path = self.directory / f"{name}.npz"
        with _beside(path) as partial, partial.open("wb") as stream:
            np.savez(stream, **stored)  # type: ignore[arg-type]

    @contextmanager
    def fresh_directory(self, name: str) -> Iterator[Path]:
        """An empty directory; what a crashed run left there is gone."""
        path = self.directory / name
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir()
        yield path

    def write_atomically(self, path: Path, content: bytes) -> None:
        """Replace a file whole."""
        with _beside(path) as partial:
            partial.write_bytes(content)

    def _result(self, phase: str) -> Path:
        return self.directory / f"{phase}.json"


def _texts(joined: NDArray[np.uint8], lengths: NDArray[np.int64]) -> NDArray[Any]:
    """Texts [n] from all of them in a row."""
    ends = np.cumsum(lengths)
    texts = np.empty(len(lengths), dtype=object)
    texts[:] = [joined[end - length : end].tobytes() for end, length in zip(ends, lengths, strict=True)]
    return texts


@contextmanager
def _beside(path: Path) -> Iterator[Path]:
    partial = path.with_name(f".{path.name}.part")
    yield partial
    partial.replace(path)


def _plain(value: Any) -> Any:
    """Numpy's numbers and arrays as JSON has them."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    raise TypeError(f"{type(value)} has no place in a result")
