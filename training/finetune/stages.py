"""Which weights are trained when, and how fast: the layers above the frozen ones, in groups from the top."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from training.bases.surgery.freezing import is_batch_norm
from training.bases.surgery.layers import leaves

MOST_GROUPS = 4
"""Below the head. Groups and not single layers: with 50 layers a factor each would leave the lowest without any."""


@dataclass(frozen=True, slots=True)
class Group:
    """Layers that are thawed together, by address, and their variables."""

    layers: tuple[str, ...]
    variables: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Stage:
    """What is trained together for some of the steps."""

    variables: tuple[Any, ...]
    factors: tuple[float, ...]
    """Of the learning rate, for each variable."""


def groups(features: Any, trained: Sequence[str]) -> tuple[Group, ...]:
    """The trained layers of the base in at most ``MOST_GROUPS`` groups of about equal number, the uppermost first.

    Batch normalisation goes with the layer below it.
    """
    by_address = dict(leaves(features))
    bundles: list[list[str]] = []
    for address in trained:
        if bundles and is_batch_norm(by_address[address]):
            bundles[-1].append(address)
        else:
            bundles.append([address])
    bundles.reverse()
    parts = np.array_split(np.arange(len(bundles)), min(MOST_GROUPS, len(bundles)))
    found = []
    for part in parts:
        layers = tuple(address for at in part for address in bundles[at])
        variables = tuple(weight for address in layers for weight in by_address[address].trainable_weights)
        found.append(Group(layers, variables))
    return tuple(found)


def stages(head: Sequence[Any], below: Sequence[Group], schedule: str, decay: float) -> tuple[Stage, ...]:
    """``once``: one stage with everything. ``gradual``: one more group in each, from the top.

    Args:
        head: variables of what is on top of the base.
        decay: each group's rate is the one above divided by this.
    """

    def with_groups(count: int) -> Stage:
        variables, factors = list(head), [1.0] * len(head)
        for place, group in enumerate(below[:count], start=1):
            variables += group.variables
            factors += [decay**-place] * len(group.variables)
        return Stage(tuple(variables), tuple(factors))

    counts = range(1, len(below) + 1) if schedule == "gradual" and below else [len(below)]
    return tuple(with_groups(count) for count in counts)
