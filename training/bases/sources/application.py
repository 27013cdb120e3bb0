"""A base from ``keras.applications``: an image network without its top, with its own preprocessing inside.

Three of the families scale their input themselves; VGG16 and MobileNetV2 do not, and get here what their authors
trained them with. Either way pixels come in on 0..255, and are scaled once.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

from service.domain.artifact import InputKind, InputSpec
from service.domain.learning import LearningTask
from training.bases.base_model import BaseModel, drawn_sample
from training.bases.cuts import cut_tensors
from training.bases.keras_file import file_digest
from training.bases.surgery.cloning import copy_state, rebuilt
from training.bases.surgery.layers import leaves, parameter_counts
from training.bases.surgery.reinitialising import reinitialise
from training.bases.surgery.replaying import nodes_in_order, replay
from training.errors import BadBase
from training.export.base_model import keras_network
from training.recipe import ApplicationBase
from training.recipe.bases import Digest
from training.seeds import child_seed

CUTS = {"VGG16": ("block4_pool", "block5_pool"), "MobileNetV2": ("block_13_expand", "out_relu")}
"""Where these are cut; the others after their last stage of another shape, and at the end."""
VGG_MEAN = (103.939, 116.779, 123.68)
"""Of ImageNet's blue, green and red, as VGG16 was trained."""


def from_application(choice: ApplicationBase, seed: int, scratch: Path) -> BaseModel:
    """The base; with weights ``none`` its features are those of a random network, drawn from the seed.

    Raises:
        BadBase: the network does not take such images, or the weights are not those of its layers or not those meant.
        BadRecipe: it has no such layers to cut after.
    """
    height, width, channels = choice.shape
    weights = choice.weights if isinstance(choice.weights, Digest) else None
    model = build_application(choice.name, (height, width, channels), weights, scratch)
    notes = []
    if weights is None:
        random = [address for address, layer in leaves(model) if layer.weights and not hasattr(layer, "adapt")]
        reinitialise(model, random, child_seed(seed, "application"))
        notes.append(f"{choice.name} without weights: its features are those of a random network")
    cuts = cut_tensors(model, choice.cuts or default_cuts(model, choice.name), choice.pooling)
    spec = InputSpec(InputKind.IMAGE, (height, width, channels))
    counts = parameter_counts(model)
    return BaseModel(
        network=keras_network(model, cuts, answers=False),
        spec=spec,
        task=LearningTask.MULTICLASS,
        labels=(),
        sample=drawn_sample(spec, seed),
        model=model,
        pooling=choice.pooling,
        notes=notes,
        facts={
            "source": choice.name,
            "source_digest": weights.sha256 if weights else None,
            "parameters": counts.total,
        },
    )


def build_application(
    name: str, shape: tuple[int, int, int], weights: Digest | None = None, scratch: Path | None = None
) -> Any:
    """The network without top, from pixels on 0..255 to its last map; its weights from a file, or as Keras draws them.

    Layers that Keras numbers by what the process has built before are numbered anew, so that names are the same
    everywhere.

    Raises:
        BadBase: it does not take images of this shape, or the file does not hold its weights.
    """
    import keras

    try:
        bare = getattr(keras.applications, name)(weights=None, include_top=False, input_shape=shape)
    except ValueError as error:
        raise BadBase(f"{name} does not take images of {list(shape)}: {error}") from error
    if shape[2] != 3 and name == "VGG16":
        raise BadBase(f"{name} takes images of three channels, not {shape[2]}")
    if weights is not None and scratch is not None:
        # Into the network as Keras builds it: older files go by its layers and their order.
        _load(bare, weights, name, scratch)
    seen: dict[str, int] = {}

    def renamed(address: str, layer: Any, config: dict[str, Any]) -> dict[str, Any]:
        match = re.fullmatch(rf"({_snake(type(layer).__name__)})(_\d+)?", layer.name)
        if match is None:
            return config
        seen[match[1]] = seen.get(match[1], 0) + 1
        return {**config, "name": f"{match[1]}_{seen[match[1]]}"}

    plain, pairs = rebuilt(bare, renamed)
    for old, new in pairs:
        copy_state(old, new)
    inputs = keras.Input(shape, name="inputs")
    return keras.Model(inputs, replay(plain, preprocessed(name, inputs)), name=name.lower())


def preprocessed(name: str, pixels: Any) -> Any:
    """Pixels on 0..255 as the network was trained with them: a Keras tensor to another, or the same one."""
    import keras

    match name:
        case "VGG16":
            flipped = keras.ops.flip(pixels, axis=-1)
            centred = keras.layers.Normalization(mean=VGG_MEAN, variance=(1.0,) * 3, name="preprocess")
            return centred(flipped)
        case "MobileNetV2":
            return keras.layers.Rescaling(1 / 127.5, offset=-1.0, name="preprocess")(pixels)
        case _:
            return pixels


def default_cuts(model: Any, name: str) -> tuple[str, ...]:
    """The last two stages: the end, and the last sum of branches before it that has another shape."""
    if name in CUTS:
        return CUTS[name]
    nodes = nodes_in_order(model)
    end = nodes[-1]
    for node in reversed(nodes):
        shape = node.output_tensors[0].shape
        if type(node.operation).__name__ == "Add" and shape != end.output_tensors[0].shape:
            return (node.operation.name, end.operation.name)
    return (end.operation.name,)


def _load(model: Any, weights: Digest, name: str, scratch: Path) -> None:
    source = Path(weights.file)
    if not source.is_file():
        raise BadBase(f"base.weights: there is no file {source}; nothing is fetched")
    # A copy under the name Keras goes by, and under no one else's hands between digest and reading.
    older = source.suffix == ".h5" and not source.name.endswith(".weights.h5")
    copy = scratch / ("copy.h5" if older else "copy.weights.h5")
    shutil.copyfile(source, copy)
    try:
        _check_digest(copy, weights.sha256, source.name)
        model.load_weights(copy)
    except BadBase:
        raise
    except Exception as error:
        text = str(error).strip().splitlines()
        raise BadBase(f"{source.name} does not hold the weights of {name}: {text[0] if text else error!r}") from error
    finally:
        copy.unlink()


def _check_digest(file: Path, wanted: str, name: str) -> None:
    found = file_digest(file)
    if found != wanted:
        raise BadBase(f"{name} has the sha256 {found[:16]}..., and the recipe says {wanted[:16]}...")


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
