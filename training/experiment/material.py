"""The data of an experiment, held in memory, and the items each repeat learns from and is judged on."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.domain.faults import Fault
from training.builtin import SCHEME, materialise
from training.data.contents import in_label_order
from training.errors import BadData, BadRecipe
from training.experiment.made import MADE, make
from training.experiment.schema import Division
from training.experiment.schema import Material as MaterialChoice
from training.seeds import generator

Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Material:
    """All items of one task: x [n, ...] as the data has them, y [n] the place of each item's class in ``labels``."""

    x: NDArray[Any]
    y: Integers
    labels: tuple[str, ...]

    @property
    def is_image(self) -> bool:
        """Numbers 0..255 with height, width and channels."""
        return self.x.ndim == 4

    def network_input(self, flat: bool) -> NDArray[Any]:
        """Items as a network takes them; for one that takes vectors images become rows of 0..1."""
        if not flat or not self.is_image:
            return self.x
        rows: NDArray[Any] = (self.x.reshape(len(self.x), -1) / 255.0).astype(np.float32)
        return rows

    def rows(self) -> NDArray[np.float32]:
        """Items [n, D] as classical models take them."""
        return self.x.reshape(len(self.x), -1).astype(np.float32)


@dataclass(frozen=True, slots=True)
class Sides:
    """Places of the items: to learn from, to watch (may be empty), to be judged on."""

    train: Integers
    valid: Integers
    test: Integers


def load(choice: MaterialChoice, without: tuple[str, ...] = ()) -> Material:
    """Read or make the data.

    Args:
        without: classes to leave out.

    Raises:
        BadRecipe: there is no such data.
        BadData: the file does not hold what was asked for.
    """
    x, y = _arrays(choice)
    texts = np.array([str(label) for label in y.tolist()])
    known = in_label_order(texts.tolist())
    wanted = [label for label in (choice.labels or known) if label not in without]
    absent = [label for label in wanted if label not in known]
    if absent:
        message = f"{choice.uri} has no items of class {absent[0]!r}; its classes are {', '.join(known)}"
        raise BadData([Fault("unknown_label", message, "labels")])
    kept = np.flatnonzero(np.isin(texts, wanted))
    low, high = choice.part
    if (low, high) != (0.0, 1.0):
        order = generator(0, "part", choice.uri).permutation(kept)
        kept = np.sort(order[round(low * len(order)) : round(high * len(order))])
    places = {label: place for place, label in enumerate(wanted)}
    found = np.array([places[label] for label in texts[kept].tolist()], dtype=np.int64)
    return Material(x[kept], found, tuple(wanted))


def _arrays(choice: MaterialChoice) -> tuple[NDArray[Any], NDArray[Any]]:
    if choice.uri.startswith(MADE):
        return make(choice.uri)
    if choice.uri.startswith(SCHEME):
        with tempfile.TemporaryDirectory(prefix="graft-") as name:
            return _npz(materialise(choice.uri, Path(name), choice.digest))
    path = Path(choice.uri)
    if not path.is_file():
        raise BadRecipe(f"data.uri: there is no file {path}")
    return _npz(path)


def _npz(path: Path) -> tuple[NDArray[Any], NDArray[Any]]:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            x, y = arrays["x"], arrays["y"]
    except (OSError, ValueError, KeyError) as error:
        raise BadData([Fault("unreadable", f"{path.name} is no NPZ file with x and y: {error}", "file")]) from error
    if len(x) != len(y) or y.ndim != 1:
        raise BadData([Fault("shape", f"{path.name}: x {x.shape} and y {y.shape} do not go together", "file")])
    return x, y


def divide(material: Material, choice: Division, per_class: int | None, seed: int) -> Sides:
    """The items of each side; drawn ones are spread over the classes as the data is, the same for the same seed.

    Raises:
        BadData: there are too few items.
    """
    if choice.order == "given":
        order = np.arange(len(material.y))
        train = choice.train if choice.train is not None else len(order) - choice.valid - (choice.test or 0)
        rest = order[train:]
        test = rest[choice.valid :][: choice.test]
        return _checked(Sides(order[:train], rest[: choice.valid], test), material)
    draw = generator(seed, "sides")
    order = _spread(material.y, draw)
    if per_class is not None:
        firsts = [order[material.y[order] == label][:per_class] for label in range(len(material.labels))]
        short = [label for label, own in zip(material.labels, firsts, strict=True) if len(own) < per_class]
        if short:
            message = f"class {short[0]!r} has fewer than the {per_class} items a class that are wanted"
            raise BadData([Fault("too_few_items", message, "data")])
        train_items = np.concatenate(firsts)
        rest = order[~np.isin(order, train_items)]
        valid, test = rest[: choice.valid], rest[choice.valid :][: choice.test]
        return _checked(Sides(train_items, valid, test), material)
    held = choice.test if choice.test is not None else len(order) - choice.valid - (choice.train or 0)
    test, valid = order[: max(held, 0)], order[max(held, 0) :][: choice.valid]
    train_items = order[max(held, 0) + choice.valid :][: choice.train]
    return _checked(Sides(train_items, valid, test), material)


def _spread(y: Integers, draw: np.random.Generator) -> Integers:
    """All items in an order whose every stretch has the classes in nearly the shares of the whole."""
    keys = np.empty(len(y))
    for label in np.unique(y):
        members = draw.permutation(np.flatnonzero(y == label))
        keys[members] = (np.arange(len(members)) + draw.random()) / len(members)
    return np.argsort(keys, kind="stable").astype(np.int64)


def _checked(sides: Sides, material: Material) -> Sides:
    if len(sides.test) < 2 or len(np.unique(material.y[sides.train])) < 2:
        message = (
            f"{len(material.y)} items leave {len(sides.train)} to learn from and {len(sides.test)} for the test; "
            "both sides need items, and training two classes"
        )
        raise BadData([Fault("too_few_items", message, "data")])
    return sides
