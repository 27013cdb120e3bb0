"""Varied images: each its own way, the same for the same seed, and never mirrored."""

from __future__ import annotations

import numpy as np
import pytest

from service.domain.artifact import InputKind
from training.errors import BadRecipe
from training.finetune.augment import STRENGTHS, Strength, augmenter, resolve_policy, varied


def images() -> np.ndarray:
    return np.random.default_rng(0).uniform(0, 255, size=(6, 12, 10, 3)).astype(np.float32)


@pytest.mark.parametrize("policy", ["light", "strong"])
def test_batches_differ_from_the_source_and_from_each_other_and_repeat(policy: str) -> None:
    change = augmenter(policy, 5)
    assert change is not None
    first, second = change(images(), 0), change(images(), 1)
    assert first.shape == images().shape
    assert first.dtype == np.float32
    assert np.isfinite(first).all()
    assert (first != images()).any(axis=(1, 2, 3)).all()
    assert (first != second).any(axis=(1, 2, 3)).all()
    again, other = augmenter(policy, 5), augmenter(policy, 6)
    assert again is not None
    assert other is not None
    assert np.array_equal(first, again(images(), 0))
    assert not np.array_equal(first, other(images(), 0))


def test_no_strength_changes_nothing() -> None:
    still = varied(images(), Strength(0, 0, 0, 0, 0), np.random.default_rng(0))
    assert np.allclose(still, images(), atol=1e-3)


def test_left_stays_left() -> None:
    sided = np.zeros((40, 16, 16, 1), dtype=np.float32)
    sided[:, :, :6] = 200.0
    changed = varied(sided, STRENGTHS["strong"], np.random.default_rng(1))
    assert (changed[:, :, :8].mean(axis=(1, 2, 3)) > changed[:, :, 8:].mean(axis=(1, 2, 3))).all()


def test_auto_is_for_images_and_vectors_are_refused() -> None:
    assert resolve_policy("auto", InputKind.IMAGE) == "light"
    assert resolve_policy("auto", InputKind.VECTOR) == "none"
    assert resolve_policy("strong", InputKind.IMAGE) == "strong"
    assert augmenter("none", 0) is None
    with pytest.raises(BadRecipe, match="varies images"):
        resolve_policy("light", InputKind.TEXT)
