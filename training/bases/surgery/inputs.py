"""Another input in front of a network: vectors of another width, images of another shape.

What is put in front is a stock layer, so that the result is saved, exported and fine-tuned like any model. Selecting
and padding are a fixed dense layer of zeros and ones; projecting is a dense layer that is trained with the head.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.domain.artifact import InputKind, InputSpec
from training.bases.surgery.cloning import clone, copy_state, rebuilt
from training.bases.surgery.layers import leaves
from training.bases.surgery.replaying import replay
from training.errors import BadRecipe
from training.seeds import child_seed

ADAPTER = "adapter"
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Adapted:
    """A copy of a network behind another input."""

    model: Any
    spec: InputSpec
    how: str
    trainable: tuple[str, ...] = ()
    """Layers that have to be trained with the head before it is of use."""


@dataclass(frozen=True, slots=True)
class Moments:
    """What is known of the numbers a network was trained on: their mean [d] and spread [d]."""

    mean: Floats
    spread: Floats


def adapt_vectors(
    model: Any,
    spec: InputSpec,
    columns: Sequence[str],
    numbers: Floats,
    how: str,
    seed: int,
    moments: Moments | None = None,
) -> Adapted:
    """The network behind vectors of another width.

    Args:
        spec: what it takes now.
        columns: names of the data's columns; may be empty.
        numbers: the training items [n, width]; only their width, mean and covariance count.
        how: ``select`` takes the columns the network knows by name; ``pad`` as well, and gives the others their mean;
            ``project`` puts a trained layer in front; ``replace_first`` starts the first dense layer anew; ``auto`` is
            select or pad where names allow it, else project.
        moments: of the data the network was trained on; by default its own normalisation's, else mean 0, spread 1.

    Raises:
        BadRecipe: this way does not suit these columns.
    """
    import keras

    if spec.kind is not InputKind.VECTOR or numbers.ndim != 2:
        raise BadRecipe(f"input.adapter {how} is for vectors; the base takes {spec.kind} {list(spec.shape)}")
    width, known = int(numbers.shape[1]), [name for name in spec.columns if name in set(columns)]
    if how == "auto":
        how = "select" if spec.columns and len(known) == len(spec.columns) else "pad" if known else "project"
    taken = InputSpec(InputKind.VECTOR, (width,), spec.name, tuple(columns))
    if how == "replace_first":
        changed, first = _replaced_first(model, width, seed)
        return Adapted(changed, taken, how, (first,))
    source = moments or moments_of(model, spec.width)
    match how:
        case "select" | "pad":
            kernel, bias = _selecting(spec, columns, how, source)
        case _:
            kernel, bias = _projecting(numbers, source, seed)
    inputs = keras.Input((width,), name=spec.name)
    layer = keras.layers.Dense(spec.width, name=ADAPTER, trainable=how == "project")
    adapted = layer(inputs)
    layer.set_weights([kernel, bias])
    whole = keras.Model(inputs, replay(clone(model), adapted), name=model.name)
    return Adapted(whole, taken, how, (ADAPTER,) if how == "project" else ())


def adapt_images(model: Any, spec: InputSpec, shape: tuple[int, int, int], resize: str = "pad") -> Adapted:
    """The network behind images [height, width, channels] of another size or number of channels.

    One channel is repeated to three, three are weighted into one as luminance; sizes are resampled bilinearly, ``pad``
    with a border, ``crop`` without what is beyond, ``stretch`` with other proportions.

    Raises:
        BadRecipe: the channels cannot be made to fit.
    """
    import keras

    if spec.kind is not InputKind.IMAGE:
        raise BadRecipe(f"the base takes {spec.kind} {list(spec.shape)}, and this data is images")
    height, width, channels = spec.shape
    inputs = keras.Input(shape, name=spec.name)
    tensor = inputs
    if tuple(shape[:2]) != (height, width):
        tensor = keras.layers.Resizing(
            height,
            width,
            pad_to_aspect_ratio=resize == "pad",
            crop_to_aspect_ratio=resize == "crop",
            name=f"{ADAPTER}_size",
        )(tensor)
    if shape[2] != channels:
        weights = {(1, 3): np.ones((1, 3)), (3, 1): np.array([[0.299], [0.587], [0.114]])}.get((shape[2], channels))
        if weights is None:
            raise BadRecipe(f"images of {shape[2]} channels cannot be given to a base that takes {channels}")
        mixing = keras.layers.Conv2D(channels, 1, use_bias=False, trainable=False, name=f"{ADAPTER}_channels")
        tensor = mixing(tensor)
        mixing.set_weights([weights.astype(np.float32)[np.newaxis, np.newaxis]])
    whole = keras.Model(inputs, replay(clone(model), tensor), name=model.name)
    return Adapted(whole, InputSpec(InputKind.IMAGE, tuple(shape), spec.name), resize)


def moments_of(model: Any, width: int) -> Moments:
    """Mean and spread that a network standardises its input by; 0 and 1 when it does not."""
    import keras

    for _, layer in leaves(model):
        if isinstance(layer, keras.layers.Normalization) and layer.mean is not None:
            mean, variance = np.asarray(layer.mean).reshape(-1), np.asarray(layer.variance).reshape(-1)
            if mean.shape == (width,):
                return Moments(mean.astype(np.float64), np.sqrt(variance.astype(np.float64)))
    return Moments(np.zeros(width), np.ones(width))


def _selecting(spec: InputSpec, columns: Sequence[str], how: str, source: Moments) -> tuple[Any, Any]:
    """A kernel of zeros and ones [width, base width], and a bias with the mean of what is missing."""
    if not spec.columns or not columns:
        raise BadRecipe(f"input.adapter {how} goes by names, and {'the data' if spec.columns else 'the base'} has none")
    places = {name: place for place, name in enumerate(columns)}
    missing = [name for name in spec.columns if name not in places]
    if missing and how == "select":
        raise BadRecipe(f"the data has no column {', '.join(missing)}; input.adapter pad would do without")
    if len(missing) == len(spec.columns):
        raise BadRecipe("the data has no column of the base's; input.adapter project needs none")
    kernel, bias = np.zeros((len(columns), spec.width)), np.zeros(spec.width)
    for place, name in enumerate(spec.columns):
        if name in places:
            kernel[places[name], place] = 1.0
        else:
            bias[place] = source.mean[place]
    return kernel, bias


def _projecting(numbers: Floats, source: Moments, seed: int) -> tuple[Any, Any]:
    """The linear map under which the data's moments come closest, in least squares, to those the base knows: its
    leading principal components, on the base's scale. Directions the data does not have are drawn small.
    """
    rows = np.asarray(numbers, dtype=np.float64)
    mean = rows.mean(axis=0)
    values, vectors = np.linalg.eigh(np.atleast_2d(np.cov(rows, rowvar=False)))
    order = np.argsort(values)[::-1]
    values, vectors = np.maximum(values[order], 0.0), vectors[:, order]
    count = min(len(mean), len(source.mean))
    # The sign of a principal direction is arbitrary; fixing it keeps one machine's result the next one's.
    vectors = vectors * np.where(vectors[np.abs(vectors).argmax(axis=0), np.arange(len(mean))] < 0, -1.0, 1.0)
    small = np.random.default_rng(child_seed(seed, ADAPTER)).normal(0, 0.01, (len(mean), len(source.mean)))
    usable = values[:count] > max(values[0], 1e-12) * 1e-9
    scale = np.where(usable, 1.0 / np.sqrt(np.where(usable, values[:count], 1.0)), 0.0)
    small[:, :count] = np.where(usable, vectors[:, :count] * scale, small[:, :count])
    kernel = small * source.spread
    return kernel, source.mean - mean @ kernel


def _replaced_first(model: Any, width: int, seed: int) -> tuple[Any, str]:
    """A copy whose first dense layer takes vectors of this width and starts anew, and that layer's name.

    A normalisation before it is left out: it knows nothing of these columns.
    """
    import keras

    dense = [(address, layer) for address, layer in leaves(model) if isinstance(layer, keras.layers.Dense)]
    if not dense:
        raise BadRecipe(f"{model.name} has no dense layer that could be replaced")
    first = dense[0][1]
    between = [layer for _, layer in leaves(model)]
    for layer in between[: between.index(first)]:
        if not isinstance(layer, keras.layers.InputLayer | keras.layers.Normalization):
            raise BadRecipe(f"layer {layer.name!r} lies before the first dense one; take input.adapter project")
    copy, pairs = rebuilt(model)
    made = {id(old): new for old, new in pairs}
    fresh: Any = None
    for old, new in pairs:
        if old is not first:
            copy_state(old, new)
    start = keras.Input((width,), name=model.inputs[0].name)

    def layer_for(address: str, layer: Any) -> Any:
        nonlocal fresh
        if layer is made[id(first)]:
            initial = keras.initializers.HeUniform(seed=child_seed(seed, "initial", layer.name))
            fresh = keras.layers.Dense.from_config({**layer.get_config(), "kernel_initializer": initial})
            return fresh
        if isinstance(layer, keras.layers.Normalization):
            return keras.layers.Identity(name=layer.name)
        return layer

    whole = keras.Model(start, replay(copy, start, layer_for), name=model.name)
    return whole, str(fresh.name)
