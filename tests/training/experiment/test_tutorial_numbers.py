"""Numbers that the tutorials print, right ones and wrong ones, counted and computed here."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from training.bases.builders import LOGITS, build_mlp
from training.errors import BadRecipe
from training.evaluation.intervals import wilson
from training.experiment.command import conduct
from training.experiment.network import assemble
from training.experiment.reading import read_experiment
from training.recipe import MlpParams, parse_recipe


def test_the_default_rate_of_sgd_is_one_hundredth() -> None:
    import keras

    assert float(np.asarray(keras.optimizers.SGD().learning_rate)) == pytest.approx(0.01)
    assert keras.optimizers.SGD().momentum == 0.0


def test_a_rate_called_lr_is_refused() -> None:
    import keras

    with pytest.raises(ValueError, match="lr"):
        keras.optimizers.SGD(lr=1e-4)
    base = {"kind": "version", "ref": "a"}
    with pytest.raises(BadRecipe, match="did you mean 'learning_rate'"):
        parse_recipe({"apiVersion": "transfer/v1", "name": "b", "base": base, "finetune": {"lr": 1e-4}})


def test_the_interval_of_the_tutorials_accuracy() -> None:
    found = wilson(round(0.9925 * 2000), 2000)
    assert (round(found.low, 3), round(found.high, 3)) == (0.988, 0.995)


def test_the_toy_networks_last_layer_has_330_parameters() -> None:
    numbers = np.zeros((1, 784), dtype=np.float32)
    body = build_mlp(MlpParams(hidden=[32, 32, 32], standardise=False), 2, numbers, 0)
    network = assemble(body, body.get_layer(LOGITS).input, 10, (), 0.0)
    assert network.parameters(network.trained("head")) == 330
    assert network.parameters(network.trained("all")) == 784 * 32 + 32 + 2 * (32 * 32 + 32) + 330


def test_noise_is_called_noise(tmp_path: Path) -> None:
    small = ["repeats.sources=6", "stages.0.epochs=2", "arms.1.stages.0.epochs=2"]
    found = conduct(read_experiment("toy-noise", small), tmp_path, lambda event: None, with_pictures=False)
    assert found["verdict"][0] == (
        "nothing was learned: no arm is proven better than always answering the most frequent class"
    )
