"""keras.applications as bases: true numbers, preprocessing once, weights from a local file or none."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from training.bases.cuts import cut_tensors
from training.bases.sources.application import build_application, default_cuts, from_application, preprocessed
from training.bases.surgery.freezing import freeze, freeze_all, is_batch_norm, names_from
from training.bases.surgery.layers import layer_table, leaves, parameter_counts
from training.bases.surgery.replaying import nodes_in_order
from training.bases.surgery.reusing import with_hidden, with_output
from training.errors import BadBase, BadRecipe
from training.recipe import ApplicationBase, Unfreeze
from training.recipe.bases import Digest


def small(name: str = "MobileNetV2", **more: Any) -> ApplicationBase:
    return ApplicationBase(kind="application", name=name, shape=[32, 32, 3], **more)


@pytest.fixture(scope="module")
def vgg16() -> Any:
    return build_application("VGG16", (32, 32, 3))


@pytest.fixture(scope="module")
def mobilenet() -> Any:
    return build_application("MobileNetV2", (32, 32, 3))


def test_vgg16_with_the_tutorials_head_has_67_thousand_trainable_parameters_not_a_million(vgg16: Any) -> None:
    import keras

    freeze_all(vgg16)
    features = keras.Model(vgg16.inputs[0], cut_tensors(vgg16, ["block5_pool"], "gap")["block5_pool"])
    model = with_output(with_hidden(features, [128], 0, dropout=0.2), 10, 0)
    counts = parameter_counts(model)
    assert (counts.total, counts.trainable) == (14_781_642, 66_954)


def test_fine_tune_at_100_leaves_vgg16_nothing_to_train(vgg16: Any) -> None:
    import keras

    # The stock network's 19 layers; the one here has its preprocessing in front.
    assert len(keras.applications.VGG16(weights=None, include_top=False, input_shape=(32, 32, 3)).layers) == 19
    assert names_from(vgg16, 100) == ()
    with pytest.raises(BadRecipe, match="nothing of the base to train: it has 13 layers with weights"):
        freeze(vgg16, Unfreeze(first_n_frozen=100))


def test_fine_tune_at_100_leaves_mobilenet_54_of_154_layers_most_of_their_weights_normalisation() -> None:
    import keras

    stock = keras.applications.MobileNetV2(weights=None, include_top=False, input_shape=(32, 32, 3))
    chosen = names_from(stock, 100)
    layers = dict(leaves(stock))
    assert (len(stock.layers), len(chosen)) == (154, 54)
    trainable = [weight for name in chosen for weight in layers[name].trainable_weights]
    normalising = [
        weight for name in chosen if is_batch_norm(layers[name]) for weight in layers[name].trainable_weights
    ]
    assert (len(trainable), len(normalising)) == (54, 36)
    # With frozen statistics and scales what is left are the convolutions.
    assert len(freeze(stock, Unfreeze(names=list(chosen)))) == 18


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [("VGG16", (-123.68, -116.779, -103.939), (131.32, 138.221, 151.061)), ("MobileNetV2", (-1,) * 3, (1,) * 3)],
)
def test_pixels_reach_the_first_convolution_as_the_authors_scaled_them(name: str, low: Any, high: Any) -> None:
    import keras

    inputs = keras.Input((2, 2, 3))
    scale = keras.Model(inputs, preprocessed(name, inputs))
    pixels = np.zeros((2, 2, 2, 3), np.float32)
    pixels[1] = 255
    reached = np.asarray(scale(pixels))
    flipped = -1 if name == "VGG16" else 1
    assert reached[0, 0, 0] == pytest.approx(low[::flipped], abs=1e-4)
    assert reached[1, 0, 0] == pytest.approx(high[::flipped], abs=1e-4)
    expected = getattr(keras.applications, name.lower().replace("v2", "_v2")).preprocess_input(pixels.copy())
    assert reached == pytest.approx(np.asarray(expected), abs=1e-4)


@pytest.mark.parametrize("name", ["MobileNetV3Small", "EfficientNetV2B0", "ConvNeXtTiny"])
def test_the_others_scale_for_themselves_and_are_given_plain_pixels(name: str) -> None:
    import keras

    inputs = keras.Input((2, 2, 3))
    assert preprocessed(name, inputs) is inputs


def test_double_scaling_would_be_seen_at_the_first_convolution(mobilenet: Any) -> None:
    import keras

    first = next(node for node in nodes_in_order(mobilenet) if isinstance(node.operation, keras.layers.Conv2D))
    before = keras.Model(mobilenet.inputs[0], first.input_tensors[0])
    pixels = np.random.default_rng(0).uniform(0, 255, (4, 32, 32, 3)).astype(np.float32)
    reached = np.asarray(before(pixels))
    assert reached.min() < -0.99
    assert reached.max() > 0.99


def test_names_are_the_same_whatever_was_built_before() -> None:
    first, second = (build_application("MobileNetV3Small", (32, 32, 3)) for _ in range(2))
    assert [row.name for row in layer_table(first)] == [row.name for row in layer_table(second)]
    assert default_cuts(first, "MobileNetV3Small") == ("expanded_conv_10_add", "activation_18")


def test_random_weights_come_from_the_seed(tmp_path: Path) -> None:
    one, same, other = (from_application(small(), seed, tmp_path) for seed in (1, 1, 2))
    weights = [np.concatenate([np.asarray(w).ravel() for w in base.model.weights]) for base in (one, same, other)]
    assert (weights[0] == weights[1]).all()
    assert (weights[0] != weights[2]).any()
    assert one.labels == ()
    assert dict(one.network.widths) == {"block_13_expand": 576, "out_relu": 1280}


@pytest.fixture(scope="module")
def weights_file(mobilenet: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    import keras

    stock = keras.applications.MobileNetV2(weights=None, include_top=False, input_shape=(32, 32, 3))
    path = tmp_path_factory.mktemp("weights") / "m.weights.h5"
    stock.save_weights(path)
    return path


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_weights_from_a_file_are_those_in_the_file(weights_file: Path, tmp_path: Path) -> None:
    import keras

    before = digest(weights_file)
    choice = small(weights=Digest(file=str(weights_file), sha256=before))
    base = from_application(choice, 0, tmp_path)
    stock = keras.applications.MobileNetV2(weights=None, include_top=False, input_shape=(32, 32, 3))
    stock.load_weights(weights_file)
    mine = {weight.path: np.asarray(weight) for weight in base.model.weights}
    theirs = {weight.path: np.asarray(weight) for weight in stock.weights}
    assert len(mine) == len(theirs)
    assert all((one == two).all() for one, two in zip(mine.values(), theirs.values(), strict=True))
    assert digest(weights_file) == before
    assert list(tmp_path.iterdir()) == []


def test_weights_of_another_digest_or_network_or_none_at_all_are_refused(weights_file: Path, tmp_path: Path) -> None:
    right = digest(weights_file)
    with pytest.raises(BadBase, match="the recipe says 0000"):
        from_application(small(weights=Digest(file=str(weights_file), sha256="0" * 64)), 0, tmp_path)
    with pytest.raises(BadBase, match="does not hold the weights of VGG16"):
        from_application(small("VGG16", weights=Digest(file=str(weights_file), sha256=right)), 0, tmp_path)
    broken = tmp_path / "broken.weights.h5"
    broken.write_bytes(weights_file.read_bytes()[:5000])
    with pytest.raises(BadBase, match="does not hold the weights"):
        from_application(small(weights=Digest(file=str(broken), sha256=digest(broken))), 0, tmp_path)
    with pytest.raises(BadBase, match="nothing is fetched"):
        from_application(small(weights=Digest(file=str(tmp_path / "gone.h5"), sha256=right)), 0, tmp_path)


def test_images_that_are_too_small_and_cuts_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(BadBase, match="does not take images of"):
        from_application(ApplicationBase(kind="application", name="VGG16", shape=[16, 16, 3]), 0, tmp_path)
    with pytest.raises(BadRecipe, match="did you mean block5_pool"):
        from_application(small("VGG16", cuts=["block5_pol"]), 0, tmp_path)
