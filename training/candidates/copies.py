"""Varied copies of the training images on their way through the base, for the probe's last fit.

Cut and penalty are chosen on the originals: a copy in another fold than its original would tell what is to be guessed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from service.domain.artifact import InputKind
from training.errors import BadRecipe
from training.features import BATCH, inputs_of
from training.finetune.augment import STRENGTHS, varied
from training.seeds import generator

if TYPE_CHECKING:
    from training.head_state import HeadState

DIRECTORY = "copies"


def check_copies(run: HeadState) -> None:
    """Raises: BadRecipe: copies are asked for of something that is not an image."""
    kind = run.base_manifest.input.kind
    if run.recipe.augment.cached_copies and kind is not InputKind.IMAGE:
        raise BadRecipe(f"augment.cached_copies varies images, and this base takes a {kind}; say 0")


def extract_copies(run: HeadState, told: Callable[[int, int], None]) -> None:
    """Leave the features [copies * n, width] of each cut in the work area, copy after copy.

    Args:
        told: called with items done and items in all.
    """
    manifest, train = run.base_manifest, run.split.train
    copies = run.recipe.augment.cached_copies
    total = copies * len(train)
    with run.area.fresh_directory(DIRECTORY) as directory:
        files = {
            cut: np.lib.format.open_memmap(
                directory / f"{place}.npy", "w+", np.float32, (total, manifest.features[cut])
            )
            for place, cut in enumerate(run.cache.cuts)
        }
        done = 0
        for copy in range(copies):
            draw = generator(run.recipe.seed, DIRECTORY, copy)
            for first in range(0, len(train), BATCH):
                items = train[first : first + BATCH]
                inputs = inputs_of(run.contents, items.tolist(), manifest.input, run.decode)
                found = run.base.features(varied(inputs, STRENGTHS["light"], draw))
                for cut, file in files.items():
                    file[done : done + len(items)] = found[cut]
                done += len(items)
                told(done, total)
        for file in files.values():
            file.flush()


def copied_features(run: HeadState, cuts: tuple[str, ...]) -> NDArray[np.float32]:
    """The copies' features [copies * n, width] at some cuts, side by side."""
    places = [run.cache.cuts.index(cut) for cut in cuts]
    parts: list[NDArray[Any]] = [np.load(run.area.directory / DIRECTORY / f"{place}.npy") for place in places]
    return np.concatenate(parts, axis=1)
