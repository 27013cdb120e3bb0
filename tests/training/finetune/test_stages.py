"""Which layers are thawed when, from the top, and how fast they learn."""

from __future__ import annotations

from typing import Any

import pytest

from training.bases.surgery.freezing import freeze
from training.finetune.stages import groups, stages
from training.recipe import Unfreeze


def tower(layers: int, normalised: bool = False) -> Any:
    import keras

    tensor = entry = keras.Input((2,))
    for place in range(1, layers + 1):
        tensor = keras.layers.Dense(2, name=f"d{place}")(tensor)
        if normalised:
            tensor = keras.layers.BatchNormalization(name=f"n{place}")(tensor)
    return keras.Model(entry, tensor)


def test_groups_run_from_the_top_and_are_four_at_most() -> None:
    model = tower(6)
    found = groups(model, freeze(model, Unfreeze(last_n=5)))
    assert [group.layers for group in found] == [("d6", "d5"), ("d4",), ("d3",), ("d2",)]
    assert [len(group.variables) for group in found] == [4, 2, 2, 2]


def test_normalisation_goes_with_the_layer_below_it() -> None:
    model = tower(2, normalised=True)
    found = groups(model, freeze(model, Unfreeze(last_n=2), "gamma_beta"))
    assert [group.layers for group in found] == [("d2", "n2"), ("d1", "n1")]


def test_once_trains_everything_and_gradual_adds_a_group_a_stage() -> None:
    model = tower(3)
    below, head = groups(model, freeze(model)), ("head",)
    (once,) = stages(head, below, "once", 2.0)
    assert len(once.variables) == 7
    assert once.factors == (1.0, 0.5, 0.5, 0.25, 0.25, 0.125, 0.125)
    gradual = stages(head, below, "gradual", 1.0)
    assert [len(stage.variables) for stage in gradual] == [3, 5, 7]
    assert gradual[0].variables[1].path == "d3/kernel"
    assert all(factor == 1.0 for stage in gradual for factor in stage.factors)


@pytest.mark.parametrize("schedule", ["once", "gradual"])
def test_a_head_alone_is_one_stage(schedule: str) -> None:
    (only,) = stages(("head",), (), schedule, 2.0)
    assert only.variables == ("head",)
