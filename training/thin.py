"""Thin heads: a version that is a head's numbers and the proof of them, bound to its base; and back to a complete one.

Its golden pair has the inputs of its base's: all heads of a base are then proven by one run of it, and the pictures
they are proven on are stored once.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.domain.artifact import (
    CHECKSUMS,
    EXTRA,
    GOLDEN,
    HEAD,
    HIDDEN_PREFIX,
    MANIFEST,
    OF_BASE,
    GoldenKey,
    Manifest,
)
from service.domain.errors import InvalidInput
from service.domain.heads import Head, read_head
from service.domain.tensors import DEFAULT_SIGNATURE, farthest
from training.base_graph import BaseGraph, read_manifest
from training.errors import BadArtifact, BadBase
from training.export.extras import make_room, write_golden, write_head, write_warmup
from training.export.head_model import export_head
from training.publish import Candidate, complete, versions
from training.verify import FreshProcess, damage

ALIKE = 1e-3
"""As far from the thin head's answers, as a share of their spread, as a server lets an engine be."""


def write_thin(
    directory: Path, head: Head, base: Path, manifest: Manifest, answer: Callable[..., Mapping[str, Any]]
) -> None:
    """Write what a thin head holds but for documents and manifest.

    Args:
        base: where its base lies, and ``manifest`` what that says of itself.
        answer: ``serving_default`` of the complete head.

    Raises:
        BadBase: the base has no golden pair to be proven on.
    """
    import tensorflow as tf

    inputs = base_inputs(base, manifest)
    outputs = answer(**{manifest.input.name: tf.constant(inputs)})
    arrays = {str(GoldenKey(DEFAULT_SIGNATURE, OF_BASE, "base")): np.array(manifest.files[str(GOLDEN)])}
    for name, tensor in outputs.items():
        if tensor.dtype.is_floating:
            arrays[str(GoldenKey(DEFAULT_SIGNATURE, "outputs", name))] = tensor.numpy()
    make_room(directory)
    write_head(directory, head)
    np.savez(directory / GOLDEN, **arrays)  # type: ignore[arg-type]


def base_inputs(base: Path, manifest: Manifest) -> NDArray[Any]:
    """The inputs of a base's golden pair. Raises: BadBase: it has none."""
    try:
        with np.load(base / GOLDEN, allow_pickle=False) as file:
            inputs = file[str(GoldenKey(DEFAULT_SIGNATURE, "inputs", manifest.input.name))]
    except (OSError, KeyError, ValueError) as error:
        raise BadBase(f"{base} has no golden pair that a thin head could be proven on: {error}") from error
    return inputs.astype(object) if inputs.dtype.kind == "S" else inputs


def export(version: Path, out: Path) -> Path:
    """Write a thin version again as a complete one, which any TensorFlow can load, into a directory of its own.

    It gives the thin one's answers in a fresh process, or is not written.

    Raises:
        BadArtifact: it is no sound thin version, or there is something at ``out``.
        BadBase: its base is not in the repository it lies in.
    """
    thin = read_manifest(version)
    problem = damage(version) or (None if thin.thin else "it is complete as it is, or no head")
    if problem is not None:
        raise BadArtifact(f"{version} is no thin version that can be exported: {problem}")
    if out.exists():
        raise BadArtifact(f"{out} is there already")
    base = find_base(version.parent.parent, thin)
    staged = out.with_name(f"{HIDDEN_PREFIX}{out.name}")
    shutil.rmtree(staged, ignore_errors=True)
    staged.mkdir(parents=True)
    try:
        with FreshProcess() as checker:
            _write(version, thin, base, staged)
            checker.verify(staged)
        staged.rename(out)
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    return out


def find_base(repository: Path, thin: Manifest) -> Path:
    """Where the base of a thin version lies: under its name, or any other. Raises: BadBase."""
    assert thin.base is not None, "a head's manifest has a base"
    likely = repository / thin.base.model / str(thin.base.version)
    homes = sorted(home for home in repository.iterdir() if home.is_dir() and not home.name.startswith(HIDDEN_PREFIX))
    for place in (likely, *(home / str(number) for home in homes for number in versions(home))):
        try:
            if read_manifest(place).digest == thin.base.digest and damage(place) is None:
                return place
        except BadBase:
            continue
    raise BadBase(
        f"the base {thin.base.model}@{thin.base.version}, digest {thin.base.digest[:12]}, is not in {repository}"
    )


def _write(version: Path, thin: Manifest, base: Path, staged: Path) -> None:
    below = read_manifest(base)
    try:
        with np.load(version / HEAD, allow_pickle=False) as file:
            head = read_head(dict(file), thin.labels, thin.task)
    except (InvalidInput, KeyError, ValueError) as error:
        raise BadArtifact(f"{version / HEAD} does not hold a head: {error}") from error
    inputs = base_inputs(base, below)
    exported = export_head(BaseGraph(base).loaded, str(thin.cut), head, thin.input, staged)
    make_room(staged)
    answered = write_golden(staged, inputs, thin.input.name, exported.answer)
    _hold_against(version, answered)
    write_warmup(staged, version.parent.name, inputs, thin.input.name)
    write_head(staged, head)
    made_here = {MANIFEST, CHECKSUMS, GOLDEN, HEAD}
    documents = {
        EXTRA / file.name: file.read_bytes()
        for file in sorted((version / EXTRA).iterdir())
        if EXTRA / file.name not in made_here
    }
    manifest = replace(thin, provenance={**thin.provenance, "exported_from": thin.digest})
    complete(staged, Candidate(version.parent.name, staged, manifest, documents))


def _hold_against(version: Path, answered: Mapping[str, NDArray[Any]]) -> None:
    """Raises: BadArtifact: the complete head gives other answers than the thin one was published with."""
    with np.load(version / GOLDEN, allow_pickle=False) as file:
        published = {key.alias: file[str(key)] for name in file.files if (key := GoldenKey.read(name)) is not None}
    for name, array in answered.items():
        if name not in published or farthest(published[name], array) > ALIKE:
            raise BadArtifact(f"the exported head's {name} is not what {version} was published with")
