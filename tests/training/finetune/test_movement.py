"""Which weights moved: to the last bit, and none that was to stay."""

from __future__ import annotations

import numpy as np
import pytest

from training.finetune.movement import FrozenMoved, check_moved, displacement, moved

BEFORE = {"a/kernel": np.array([3.0, 4.0]), "a/bias": np.zeros(1), "b/kernel": np.array([0.0, -1.0])}


def after(**changed: np.ndarray) -> dict[str, np.ndarray]:
    return {**BEFORE, **{path.replace("_", "/"): value for path, value in changed.items()}}


def test_a_single_bit_is_seen_also_of_a_zero() -> None:
    assert moved(BEFORE, after()) == frozenset()
    assert moved(BEFORE, after(b_kernel=np.array([-0.0, -1.0]))) == {"b/kernel"}
    assert moved(BEFORE, after(a_kernel=np.array([3.0, np.nextafter(4.0, 5.0)]))) == {"a/kernel"}


def test_a_frozen_weight_that_moved_is_a_crash() -> None:
    changed = after(a_kernel=np.array([3.0, 5.0]))
    assert check_moved(BEFORE, changed, ["a/kernel", "a/bias"]) == ["a/bias"]
    with pytest.raises(FrozenMoved, match="a/kernel"):
        check_moved(BEFORE, changed, ["b/kernel"])


def test_displacement_is_by_layer_and_relative() -> None:
    found = displacement(BEFORE, after(a_kernel=np.array([3.0, 4.5])))
    assert found["a"] == pytest.approx(0.5 / 5.0)
    assert found["b"] == 0.0
    assert displacement({"n/bias": np.zeros(2)}, {"n/bias": np.ones(2)}) == {"n": 1.0}
