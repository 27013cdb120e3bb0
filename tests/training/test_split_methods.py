"""Whatever divides the items, copies and groups stay on one side, and content alone decides."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from service.domain.artifact import InputKind
from service.domain.dataset import DatasetFormat
from training.data.contents import Contents
from training.data.targets import Classes, LabelSets, Targets, Values
from training.errors import BadData, BadRecipe
from training.split import Divisible, Method, hold_out, partition, strata_of


def many(items: int = 400, seed: int = 0) -> Divisible:
    """Items with copies, in groups, at times, on given sides."""
    draw = np.random.default_rng(seed)
    digests = [f"{draw.integers(0, items * 3 // 4):08x}" for _ in range(items)]
    strata = draw.integers(0, 4, size=items)
    groups = [f"g{draw.integers(0, 60)}" for _ in range(items)]
    return Divisible(digests, strata, groups, draw.permutation(items).astype(float), ["train"] * items)


def plain(items: Divisible) -> Divisible:
    return Divisible(items.digests, items.strata)


@pytest.mark.parametrize("method", ["stratified", "group", "time"])
def test_copies_and_groups_stay_on_one_side(method: Method) -> None:
    items = many()
    if method == "group":
        items = Divisible([str(n) for n in range(400)], items.strata, items.groups)
    elif method == "time":
        items = Divisible(items.digests, items.strata, times=items.times)
    else:
        items = plain(items)
    train, test = partition(items, method, 0.2, 3)
    assert sorted(train + test) == list(range(400))
    assert {items.digests[n] for n in train} & {items.digests[n] for n in test} == set()
    if items.groups is not None:
        assert {items.groups[n] for n in train} & {items.groups[n] for n in test} == set()
    assert 0.1 <= len(test) / 400 <= 0.3


def test_near_copies_stay_on_one_side_where_sides_are_drawn() -> None:
    digests = [str(n) for n in range(200)]
    pairs = [(n, n + 1) for n in range(0, 120, 2)]
    items = Divisible(digests, np.arange(200) // 2 % 2, near=pairs)
    train, test = partition(items, "stratified", 0.2, 3)
    assert sorted(train + test) == list(range(200))
    assert 0.15 <= len(test) / 200 <= 0.25
    assert all((one in test) == (other in test) for one, other in pairs)
    _, watched = hold_out(items, train, "stratified", 0.2, 3)
    assert all((one in watched) == (other in watched) for one, other in pairs if one in train)
    given = Divisible(digests, items.strata, sides=["train", "test"] * 100, near=pairs)
    learned, _ = partition(given, "predefined", 0.2, 3)
    assert sorted(learned) == list(range(0, 200, 2)), "what is given is not changed by a guess"


def test_near_items_of_the_data_are_seen() -> None:
    rows = np.random.default_rng(0).normal(size=(40, 8)).astype(np.float32)
    rows[7] = rows[3] * np.float32(1.0001)
    digests = tuple(str(n) for n in range(40))
    targets = Classes(("a", "b") * 20)
    contents = Contents(DatasetFormat.NPZ, InputKind.VECTOR, Path("rows.npz"), targets, digests, numbers=rows)
    assert list(Divisible.of(contents).near) == [(3, 7)]


def test_the_latest_are_tested_on_and_one_moment_is_not_torn() -> None:
    digests = [str(n) for n in range(100)]
    strata = np.arange(100) % 2
    train, test = partition(Divisible(digests, strata, times=np.arange(100.0)[::-1]), "time", 0.2, 0)
    assert sorted(test) == list(range(20))
    days = np.repeat(np.arange(10.0), 10)
    train, test = partition(Divisible(digests, strata, times=days), "time", 0.25, 0)
    assert not set(days[train]) & set(days[test])
    assert days[train].max() < days[test].min()


def test_a_given_side_is_kept_and_copies_of_tested_items_are_not_learned_from() -> None:
    items = Divisible(list("abcdea"), np.array([0, 1, 0, 1, 0, 0]), sides=["train"] * 3 + ["test"] * 3)
    train, test = partition(items, "predefined", 0.2, 0)
    assert sorted(test) == [3, 4, 5]
    assert sorted(train) == [1, 2], "item 0 is a copy of item 5"


@pytest.mark.parametrize("method", ["stratified", "group", "time", "predefined"])
def test_the_watched_part_is_of_the_training_items_and_apart_from_the_rest(method: Method) -> None:
    items = many()
    sides = ["test" if n % 5 == 0 else "train" for n in range(400)]
    items = Divisible([str(n) for n in range(400)], items.strata, items.groups, items.times, sides)
    if method in {"time", "predefined"}:
        items = Divisible(items.digests, items.strata, None, items.times, sides)
    train, test = partition(items, method, 0.2, 1)
    fitting, watched = hold_out(items, train, method, 0.1, 1)
    assert sorted(fitting + watched) == sorted(train)
    assert 20 <= len(watched) <= 60
    if items.groups is not None:
        assert not {items.groups[n] for n in fitting} & {items.groups[n] for n in watched}
    if method == "time":
        assert items.times is not None
        assert items.times[fitting].max() < items.times[watched].min()
        assert items.times[watched].max() < items.times[test].min()


@pytest.mark.parametrize("method", ["stratified", "group", "time"])
def test_the_order_in_the_file_does_not_matter(method: Method) -> None:
    items = many(120)
    items = Divisible([str(n) for n in range(120)], items.strata, items.groups, items.times)
    order = np.random.default_rng(9).permutation(120).tolist()
    train, test = partition(items, method, 0.2, 5)
    turned_train, turned_test = partition(items.take(order), method, 0.2, 5)
    assert [order[n] for n in turned_test] == test
    assert [order[n] for n in turned_train] == train


def test_a_method_needs_its_column() -> None:
    for method, column in (("group", "group"), ("time", "time"), ("predefined", "side")):
        with pytest.raises(BadRecipe, match=f"dataset.{column}"):
            partition(plain(many()), method, 0.2, 0)  # type: ignore[arg-type]


def test_one_group_cannot_be_divided() -> None:
    with pytest.raises(BadData, match="group"):
        partition(Divisible(list("abcd"), np.array([0, 0, 1, 1]), groups=["g"] * 4), "group", 0.2, 0)


@pytest.mark.parametrize(
    ("targets", "kinds"),
    [
        (Classes(("10", "9", "10")), [1, 0, 1]),
        (LabelSets((("a",), ("a", "b"), (), ("a",))), [1, 0, -1, 1]),
        (Values(np.arange(20.0)[:, None], ("v",)), [n // 5 for n in range(20)]),
    ],
)
def test_kinds_of_items(targets: Targets, kinds: list[int]) -> None:
    assert strata_of(targets).tolist() == kinds
