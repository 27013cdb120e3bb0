"""The base that a head job really stands on: the version it names or, where that does not do, one derived from it.

Two things make it so. A head or a whole fine-tuned model may be named in place of a base: then its own Keras model is
cut. And data may be of another width or size than the base takes: then an adapter is put in front. The derived base is
written like any base, into the job's own directory; a head carries a copy of its features wherever it is published.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from service.domain.artifact import KERAS_MODEL, MANIFEST, InputKind, Manifest, ModelKind
from training.base_graph import read_manifest
from training.bases.base_model import BaseModel, drawn_sample
from training.bases.cuts import cut_tensors
from training.bases.publishing import base_manifest, cuts_of, pooling_of, write_base
from training.bases.surgery.inputs import Adapted, adapt_images, adapt_vectors
from training.data.contents import Contents
from training.errors import BadBase
from training.export.base_model import keras_network
from training.publish import Candidate, complete
from training.recipe import InputChoice

NONE = "none"


def fitting_base(version: Path, contents: Contents | None, choice: InputChoice, seed: int, directory: Path) -> Path:
    """Where the base lies that suits this data: the version itself, or one written into ``directory``.

    Args:
        contents: None when only a head or a whole model is to be made a base of.
        directory: where a derived base is written; one that a run before this one has finished there is taken.

    Raises:
        BadBase: the version has no Keras model that something could be derived from.
        BadRecipe: the adapter does not suit data and base.
    """
    manifest = read_manifest(version)
    adapts = contents is not None and _differs(manifest, contents, choice)
    if manifest.kind is ModelKind.BASE and not adapts:
        return version
    if (directory / MANIFEST).exists():
        return directory
    shutil.rmtree(directory, ignore_errors=True)
    model = _keras_model(version, manifest)
    adapted = _adapted(model, manifest, contents, choice, seed) if adapts and contents is not None else None
    base = _base(adapted.model if adapted else model, adapted, manifest, seed)
    found = write_base(base, version.parent.name, directory)
    origin = {**manifest.provenance, "job_id": None, "derived_from": manifest.digest}
    complete(directory, Candidate(version.parent.name, directory, base_manifest(base, found["features"], origin), {}))
    return directory


def _differs(manifest: Manifest, contents: Contents, choice: InputChoice) -> bool:
    if contents.numbers is None:
        return False
    wanted, shape = manifest.input, contents.shape or ()
    if wanted.kind is InputKind.IMAGE:
        # Numbers may come flat, as long as there are as many as one image holds.
        return len(shape) in {2, 3} and (*shape, 1)[:3] != wanted.shape
    if wanted.kind is not InputKind.VECTOR or choice.adapter == NONE:
        return False
    named = bool(wanted.columns and contents.columns) and set(wanted.columns) != set(contents.columns)
    return shape != wanted.shape or named or choice.adapter in {"project", "replace_first"}


def _keras_model(version: Path, manifest: Manifest) -> Any:
    import keras

    file = version / KERAS_MODEL
    if not file.exists():
        raise BadBase(
            f"{version.parent.name}@{version.name} is a {manifest.kind} without a Keras model: nothing can be put in "
            "front of it, and it cannot be cut elsewhere"
        )
    try:
        return keras.saving.load_model(file, compile=False, safe_mode=True)
    except Exception as error:
        raise BadBase(f"the Keras model of {version.parent.name}@{version.name} cannot be loaded: {error}") from error


def _adapted(model: Any, manifest: Manifest, contents: Contents, choice: InputChoice, seed: int) -> Adapted:
    shape = contents.shape or ()
    if manifest.input.kind is InputKind.IMAGE:
        height, width, channels = (*shape, 1)[:3]
        return adapt_images(model, manifest.input, (height, width, channels), choice.resize)
    assert contents.numbers is not None
    numbers = np.asarray(contents.numbers, dtype=np.float64).reshape(len(contents), -1)
    return adapt_vectors(model, manifest.input, contents.columns, numbers, choice.adapter, seed)


def _base(model: Any, adapted: Adapted | None, manifest: Manifest, seed: int) -> BaseModel:
    """The derived base; it has features only, since its old answer is not what it is for."""
    whole = manifest.kind is not ModelKind.BASE
    names, pooling = (None, "auto") if whole else (cuts_of(manifest), pooling_of(manifest))
    spec = replace(adapted.spec if adapted else manifest.input, name=manifest.input.name)
    cuts = cut_tensors(model, names, pooling)
    if not cuts:
        raise BadBase("the model has no layer before its output to cut after")
    facts: dict[str, Any] = {"adapter": adapted.how, "adapter_trainable": list(adapted.trainable)} if adapted else {}
    return BaseModel(
        network=keras_network(model, cuts, answers=False),
        spec=spec,
        task=manifest.task,
        labels=(),
        sample=drawn_sample(spec, seed),
        model=model,
        pooling=pooling,
        facts=facts,
    )
