"""The files and the manifest of a base, whether it is published or only used by one job."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from service.domain.artifact import KERAS_MODEL, Manifest, ModelKind
from training.bases.base_model import BaseModel
from training.export.base_model import export_base
from training.export.extras import make_room, stored_ratio, write_golden, write_warmup

POOLING, CUTS = "pooling", "cuts"
"""In a manifest's provenance: how the layers of its Keras model became its cuts, and their order."""


def write_base(base: BaseModel, name: str, directory: Path) -> dict[str, Any]:
    """Write all files but documents and manifest; what was measured on the way.

    Args:
        name: the model's, for warm-up requests.
    """
    exported = export_base(base.network, base.spec, base.labels, directory, base.task)
    make_room(directory)
    write_golden(directory, base.sample, base.spec.name)
    write_warmup(directory, name, base.sample, base.spec.name)
    if base.model is not None:
        base.model.save(directory / KERAS_MODEL)
    return {"features": dict(exported.features), "stored_ratio": stored_ratio(directory, exported.weights)}


def base_manifest(base: BaseModel, features: Mapping[str, int], provenance: Mapping[str, Any]) -> Manifest:
    """What the base says of itself, but for its files and digest."""
    return Manifest(
        kind=ModelKind.BASE,
        task=str(base.task),
        labels=base.labels,
        input=base.spec,
        digest="",
        files={},
        features=dict(features),
        provenance={**provenance, **base.facts, POOLING: base.pooling, CUTS: list(features)},
    )


def pooling_of(manifest: Manifest) -> str:
    """How the layers of a base's Keras model became its cuts."""
    return str(manifest.provenance.get(POOLING, "auto"))


def cuts_of(manifest: Manifest) -> list[str]:
    """A base's cuts in the order of its graph, the one nearest the answer last."""
    order = [str(cut) for cut in manifest.provenance.get(CUTS, ())]
    return order if set(order) == set(manifest.features) else list(manifest.features)
