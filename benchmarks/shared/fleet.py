"""A repository of one base and any number of thin heads on it, written in seconds without TensorFlow.

``wide`` is a base that costs next to nothing to run, so that what heads cost is seen: ``x`` float32 [rows, 16] ->
``features`` float32 [rows, 1280]. Any model of ``benchmarks/shared`` with a ``features`` signature can take its place.
"""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from shared.places import made_once

from service.domain.artifact import (
    GOLDEN,
    HEAD,
    MANIFEST,
    OF_BASE,
    BaseRef,
    GoldenKey,
    InputKind,
    InputSpec,
    Manifest,
    ModelKind,
    Route,
    content_digest,
)
from service.domain.heads import AnswerForm, Head, head_arrays
from service.domain.tensors import DEFAULT_SIGNATURE

CLASSES, FEATURES, CUT, BASE = 10, 1280, "features", "base"
_WIDE = 16


def wide() -> Path:
    """The cheap base's directory, with version 1 in it; made when it is missing."""
    return made_once("wide", "shared.fleet")


def wide_inputs(rows: int, seed: int = 0) -> NDArray[np.float32]:
    """Input rows of the cheap base."""
    return np.random.default_rng(seed).normal(size=(rows, _WIDE)).round(4).astype(np.float32)


def export(directory: Path) -> None:
    """Write the cheap base's SavedModel."""
    import tensorflow as tf

    module = tf.Module()
    module.kernel = tf.Variable(np.random.default_rng(5).normal(size=(_WIDE, FEATURES)).astype(np.float32) / 4)

    @tf.function(input_signature=[tf.TensorSpec([None, _WIDE], tf.float32, "x")])
    def features(x: Any) -> Any:
        return {CUT: tf.tanh(x @ module.kernel)}

    tf.saved_model.save(module, str(directory), {"serving_default": features, CUT: features})


@dataclass(frozen=True)
class Fleet:
    """Where it is, and what its base makes of the golden inputs."""

    repository: Path
    alias: str
    spec: InputSpec
    digest: str
    golden: str
    """sha256 of the base's golden pair."""
    features: NDArray[np.float32]

    def head(self, number: int, change: int = 0) -> Head:
        """The numbers of one head; each has its own, and another ``change`` gives it others."""
        draws = np.random.default_rng((number, change))
        weights = draws.normal(size=(CLASSES, FEATURES)).astype(np.float32) / np.float32(FEATURES**0.5)
        return Head(weights, np.zeros(CLASSES, np.float32), tuple(f"class {at}" for at in range(CLASSES)))

    def publish(self, number: int, version: int = 1, change: int = 0) -> Path:
        """Write a version of a head beside its place and rename it, as the trainer does."""
        place = self.repository / head_name(number) / str(version)
        staged = place.with_name(f".{version}")
        self.write(staged, number, change)
        staged.rename(place)
        return place

    def write(self, directory: Path, number: int, change: int = 0) -> None:
        """Write a version of a head there."""
        head = self.head(number, change)
        answers = head.answer(self.features, AnswerForm.PREDICT)
        floats = {name: array for name, array in answers.items() if array.dtype.kind == "f"}
        golden = {str(GoldenKey(DEFAULT_SIGNATURE, OF_BASE, "base")): np.array(self.golden)}
        golden |= {str(GoldenKey(DEFAULT_SIGNATURE, "outputs", name)): array for name, array in floats.items()}
        manifest = Manifest(
            kind=ModelKind.HEAD,
            task="multiclass",
            labels=head.labels,
            input=self.spec,
            digest="",
            files={},
            base=BaseRef(BASE, 1, self.digest),
            cut=CUT,
            routes={DEFAULT_SIGNATURE: Route(CUT, AnswerForm.PREDICT)},
            provenance={"made": "by a benchmark"},
        )
        write_version(directory, manifest, {str(HEAD): npz(head_arrays(head)), str(GOLDEN): npz(golden)})

    def drop(self, number: int) -> None:
        """Take a head away: out of sight first, so that no look sees half of it."""
        place = self.repository / head_name(number)
        hidden = place.with_name(f".gone-{number}")
        place.rename(hidden)
        shutil.rmtree(hidden)


def head_name(number: int) -> str:
    """How the heads are called."""
    return f"head-{number:05}"


def fleet(repository: Path, model: Path, inputs: NDArray[np.float32], heads: int) -> Fleet:
    """A repository with this model as its base and so many heads on it.

    What the base makes of the golden inputs TensorFlow says, in a process of its own.
    """
    source = model / "1"
    base = repository / BASE / "1"
    shutil.copytree(source, base)
    alias, features, answers = _features(source, inputs)
    spec = InputSpec(InputKind.IMAGE if inputs.ndim == 4 else InputKind.VECTOR, inputs.shape[1:], alias)
    manifest = Manifest(ModelKind.BASE, "multiclass", (), spec, "", {}, features={CUT: FEATURES})
    pair = {str(GoldenKey(DEFAULT_SIGNATURE, "inputs", alias)): inputs}
    pair |= {str(GoldenKey(DEFAULT_SIGNATURE, "outputs", name)): array for name, array in answers.items()}
    made = write_version(base, manifest, {str(GOLDEN): npz(pair)})
    built = Fleet(repository, alias, spec, made.digest, made.files[str(GOLDEN)], features)
    for number in range(heads):
        built.publish(number)
    return built


def _features(directory: Path, inputs: NDArray[np.float32]) -> tuple[str, NDArray[np.float32], dict[str, Any]]:
    """The input's name, the features of some inputs, and the answers of ``serving_default``; in a child process."""
    code = (
        "import sys, numpy as np, tensorflow as tf\n"
        "loaded = tf.saved_model.load(sys.argv[1])\n"
        "alias, = loaded.signatures['features'].structured_input_signature[1]\n"
        "given = {alias: tf.constant(np.load(sys.argv[2]))}\n"
        "sides = {name: loaded.signatures[name](**given) for name in ('features', 'serving_default')}\n"
        "np.savez(sys.argv[3], alias=alias, **{f'{side}/{name}': tensor.numpy() for side, found in sides.items()"
        " for name, tensor in found.items()})\n"
    )
    with tempfile.TemporaryDirectory() as scratch:
        given, found = Path(scratch) / "given.npy", Path(scratch) / "found.npz"
        np.save(given, inputs)
        environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
        subprocess.run(
            [sys.executable, "-c", code, str(directory), str(given), str(found)], check=True, env=environment
        )
        with np.load(found) as arrays:
            answers = {name.partition("/")[2]: arrays[name] for name in arrays if name.startswith(DEFAULT_SIGNATURE)}
            return str(arrays["alias"]), arrays[f"{CUT}/{CUT}"], answers


def npz(arrays: Mapping[str, Any]) -> bytes:
    """The bytes of an npz file."""
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


def write_version(directory: Path, manifest: Manifest, contents: Mapping[str, bytes]) -> Manifest:
    """Add files to what lies in a directory and, last, the manifest that names them all."""
    for path, content in contents.items():
        (directory / path).parent.mkdir(parents=True, exist_ok=True)
        (directory / path).write_bytes(content)
    present = [path for path in directory.rglob("*") if path.is_file()]
    files = {str(path.relative_to(directory)): hashlib.sha256(path.read_bytes()).hexdigest() for path in present}
    complete = replace(manifest, files=files)
    complete = replace(complete, digest=content_digest(complete))
    (directory / MANIFEST).write_text(complete.to_json(), encoding="utf-8")
    return complete


if __name__ == "__main__":
    export(Path(sys.argv[1]))
