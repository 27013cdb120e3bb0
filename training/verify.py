"""The fresh-process check: a new Python process that knows TensorFlow but not Keras loads a version and runs its golden
pair. What a trainer's own process can answer proves little; this is what a server will do.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from service.domain.artifact import GOLDEN, MANIFEST, Manifest, content_digest
from service.domain.errors import InvalidInput
from service.domain.tensors import farthest
from training.errors import BadArtifact

FROM_STDIN = "-"


@dataclass(frozen=True, slots=True)
class Verification:
    """What the check found of one version."""

    directory: str
    largest_difference: float
    """Of the golden pair's outputs, as a share of their spread."""
    load_s: float
    signatures: tuple[str, ...] = ()
    problem: str | None = None
    """Why it is not as it ought to be, if so."""


def verify(directory: Path) -> Verification:
    """Check one version in this process: files against the manifest, where there is one, then the golden pair."""
    problem = damage(directory)
    if problem is not None:
        return Verification(str(directory), float("inf"), 0.0, problem=problem)
    import tensorflow as tf

    started = time.perf_counter()
    try:
        loaded = tf.saved_model.load(str(directory))
        gap = _golden_gap(loaded, directory)
    except (OSError, ValueError, KeyError, tf.errors.OpError) as error:
        return Verification(str(directory), float("inf"), time.perf_counter() - started, problem=str(error))
    return Verification(str(directory), gap, time.perf_counter() - started, tuple(sorted(loaded.signatures)))


def damage(directory: Path) -> str | None:
    """Hold the files against the manifest's digests: None, or what is wrong. No manifest, nothing to hold against."""
    path = directory / MANIFEST
    if not path.exists():
        return None
    try:
        manifest = Manifest.from_json(path.read_text(encoding="utf-8"))
    except InvalidInput as error:
        return str(error)
    found = digests(directory, exclude=(str(MANIFEST),))
    if found != dict(manifest.files):
        names = {name for name in found.keys() | manifest.files.keys() if found.get(name) != manifest.files.get(name)}
        return f"these files are not as the manifest says: {', '.join(sorted(names))}"
    sound = content_digest(manifest) == manifest.digest
    return None if sound else "the manifest's digest is not that of its files and labels"


def digests(directory: Path, exclude: Iterable[str] = ()) -> dict[str, str]:
    """sha256 of every file under a directory, by path relative to it."""
    found = {}
    left_out = set(exclude)
    for path in sorted(directory.rglob("*")):
        name = path.relative_to(directory).as_posix()
        if path.is_file() and name not in left_out:
            with path.open("rb") as stream:
                found[name] = hashlib.file_digest(stream, "sha256").hexdigest()
    return found


def hold_copy(directory: Path, verified: Mapping[str, str]) -> None:
    """Hold a copy of a verified export, with its manifest by now, against the digests of what was verified.

    Raises:
        BadArtifact: a file is another, or the manifest does not say what is there.
    """
    found = digests(directory)
    changed = sorted(name for name, digest in verified.items() if found.get(name) != digest)
    problem = f"these files changed after they were checked: {', '.join(changed)}" if changed else damage(directory)
    if problem is not None:
        raise BadArtifact(f"{directory.name} is not sound: {problem}")


def _golden_gap(loaded: Any, directory: Path) -> float:
    import tensorflow as tf

    with np.load(directory / GOLDEN) as file:
        pair = {tuple(key.split("/", 2)): file[key] for key in file.files}
    (signature,) = {key[0] for key in pair}
    inputs = {alias: tf.constant(array) for (_, side, alias), array in pair.items() if side == "inputs"}
    answered = loaded.signatures[signature](**inputs)
    expected = {alias: array for (_, side, alias), array in pair.items() if side == "outputs"}
    return max(farthest(array, answered[alias].numpy()) for alias, array in expected.items())


def answer_requests(directories: Iterable[str]) -> bool:
    """Verify each directory and print a JSON line for it; whether all of them were sound."""
    sound = True
    for directory in directories:
        found = verify(Path(directory.strip()))
        sound = sound and found.problem is None
        print(json.dumps(asdict(found)), flush=True)
    return sound


class FreshProcess:
    """A child process that verifies, started early so that it can import TensorFlow while the export is written."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "training", "verify", FROM_STDIN]
        self._checking = Path()
        self._child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __enter__(self) -> FreshProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._child.stdin is not None:
            self._child.stdin.close()
        if kind is not None:
            self._child.kill()  # nobody waits for what it would have said
        self._child.wait()
        if self._child.stdout is not None:
            self._child.stdout.close()

    def verify(self, directory: Path) -> Verification:
        """Check one version there. Raises: BadArtifact: as ``result``."""
        self.begin(directory)
        return self.result()

    def begin(self, directory: Path) -> None:
        """Let it check one version while this process does something else; ``result`` is to be asked for next.

        Raises:
            BadArtifact: the process is gone.
        """
        assert self._child.stdin is not None
        self._checking = directory
        try:
            self._child.stdin.write(f"{directory}\n")
            self._child.stdin.flush()
        except BrokenPipeError as error:
            raise BadArtifact(f"the process that was to check {directory.name} has died") from error

    def result(self) -> Verification:
        """What it found, as soon as it has.

        Raises:
            BadArtifact: the version is not as it ought to be, or the process died over it.
        """
        assert self._child.stdout is not None
        line = self._child.stdout.readline()
        if not line:
            raise BadArtifact(f"loading {self._checking.name} killed the process that was to check it")
        raw = json.loads(line)
        found = Verification(**{**raw, "signatures": tuple(raw["signatures"])})
        if found.problem is not None:
            raise BadArtifact(f"the exported model is not sound: {found.problem}", asdict(found))
        return found
