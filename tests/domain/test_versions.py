"""The policy that keeps a model available, as a table of examples and as a set of rules over every small case."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import pytest

from service.domain.errors import InvalidInput
from service.domain.versions import (
    Load,
    ModelRef,
    Snapshot,
    Unload,
    VersionId,
    VersionState,
    newest,
    next_action,
    readiness,
)

NEW, LOADING, LIVE, DRAINING, FAILED, ENDED = VersionState
EVERY_CASE = [
    [Snapshot(number, state, aspired) for number, (state, aspired) in enumerate(versions, start=1)]
    for count in range(4)
    for versions in product(product(VersionState, (True, False)), repeat=count)
]


def v(number: int, state: VersionState, aspired: bool = True, edition: int = 0) -> Snapshot:
    return Snapshot(number, state, aspired, edition)


@pytest.mark.parametrize(
    ("sentence", "versions", "action"),
    [
        ("nothing there, nothing to do", [], None),
        ("the first version is loaded", [v(1, NEW)], Load(1)),
        ("what answers and ought to is left alone", [v(1, LIVE)], None),
        ("the new one is loaded before the old one goes", [v(1, LIVE, False), v(2, NEW)], Load(2)),
        ("while the new one loads the old one answers", [v(1, LIVE, False), v(2, LOADING)], None),
        ("once the new one answers the old one goes", [v(1, LIVE, False), v(2, LIVE)], Unload(1)),
        ("when the new one failed the old one stays", [v(1, LIVE, False), v(2, FAILED)], None),
        ("of two old ones only one is needed to cover", [v(1, LIVE, False), v(2, LIVE, False), v(3, NEW)], Unload(1)),
        ("when nothing is wanted what answers goes", [v(1, LIVE, False)], Unload(1)),
        ("the highest of several new ones is loaded first", [v(1, NEW), v(3, NEW), v(2, NEW)], Load(3)),
        ("one version at a time", [v(1, LOADING), v(2, NEW)], None),
        ("a rollback loads the lower number before the higher goes", [v(1, NEW), v(2, LIVE, False)], Load(1)),
        ("what nobody wants is not loaded", [v(1, NEW, False)], None),
        ("what drains covers nothing", [v(1, DRAINING, False), v(2, NEW)], Load(2)),
        ("changed files load beside the old ones", [v(1, LIVE, False), v(1, NEW, edition=1)], Load(1, 1)),
        ("and take their place once they answer", [v(1, LIVE, False), v(1, LIVE, edition=1)], Unload(1)),
        ("when they are broken the old ones go on", [v(1, LIVE, False), v(1, FAILED, edition=1)], None),
        (
            "also where another version could cover, but is another version",
            [v(1, LIVE, False), v(1, NEW, edition=1), v(2, LIVE)],
            Load(1, 1),
        ),
        (
            "of the old ones only the last goes on",
            [v(1, LIVE, False), v(1, LIVE, False, 1), v(1, NEW, edition=2)],
            Unload(1),
        ),
        (
            "a new version takes the place of all of them",
            [v(1, LIVE, False, 1), v(1, FAILED, False, 2), v(2, LIVE)],
            Unload(1, 1),
        ),
    ],
)
def test_examples(sentence: str, versions: Sequence[Snapshot], action: Load | Unload | None) -> None:
    """Each case is its own sentence."""
    assert next_action(versions) == action, sentence


def acted(versions: Sequence[Snapshot]) -> list[Snapshot]:
    """The same versions once the next action, if any, has been carried out with success."""
    match next_action(versions):
        case Load(number):
            return [Snapshot(x.version, LIVE, x.aspired) if x.version == number else x for x in versions]
        case Unload(number):
            return [x for x in versions if x.version != number]
        case _:
            return list(versions)


def test_every_action_is_possible_and_needed() -> None:
    """Only what is new and wanted is loaded; only what answers and is not wanted is unloaded."""
    for versions in EVERY_CASE:
        by_number = {one.version: one for one in versions}
        match next_action(versions):
            case Load(number):
                assert by_number[number] == v(number, NEW, True), versions
            case Unload(number):
                assert by_number[number] == v(number, LIVE, False), versions


def test_a_model_that_ought_to_answer_never_loses_the_last_version_that_does() -> None:
    """After an unload something still answers, unless nothing at all is wanted."""
    for versions in EVERY_CASE:
        if isinstance(next_action(versions), Unload) and any(one.aspired for one in versions):
            assert any(one.state is LIVE for one in acted(versions)), versions


def test_nothing_is_begun_while_something_loads() -> None:
    for versions in EVERY_CASE:
        if any(one.state is LOADING for one in versions):
            assert next_action(versions) is None, versions


def test_the_order_of_the_versions_does_not_matter() -> None:
    for versions in EVERY_CASE:
        assert next_action(versions) == next_action(versions[::-1]), versions


def test_it_comes_to_rest_with_exactly_what_is_wanted_live() -> None:
    """Acting repeatedly ends, and then what answers is what was wanted, or the one that covers for a failure."""
    for versions in EVERY_CASE:
        if any(one.state is LOADING for one in versions):
            continue
        now = list(versions)
        for _ in range(len(versions) + 1):
            now = acted(now)
        assert next_action(now) is None, versions
        assert not any(one.aspired and one.state is NEW for one in now), versions
        live = [one for one in now if one.state is LIVE]
        stale = [one for one in live if not one.aspired]
        assert not stale or (len(live) == 1 and any(one.aspired for one in now)), versions


def test_the_newest_versions_are_the_highest_numbers() -> None:
    assert newest([3, 1, 10]) == {10}
    assert newest([3, 1, 10], 2) == {3, 10}
    assert newest([3], 5) == {3}
    assert newest([]) == frozenset()
    assert newest([1, 2], 0) == {2}, "as in TF Serving, none means one"


def test_an_empty_server_is_not_ready() -> None:
    assert not readiness([], [], []).ready
    assert readiness([], [], []).reason == "no model is live"


def test_ready_waits_for_the_first_verdict_on_every_model() -> None:
    assert readiness([], ["b"], ["a"]).reason == "model b is loading"
    assert readiness([], [], ["a"]).ready


def test_required_models_alone_decide_where_some_are_named() -> None:
    assert readiness(["a"], ["b"], ["a"]).ready
    assert readiness(["c", "a"], [], ["b"]).waiting == ("model a is not live", "model c is not live")


def test_a_reference_names_a_version_or_a_label_or_neither() -> None:
    assert str(ModelRef("m")) == "Latest(m)"
    assert str(ModelRef("m", 3)) == "Specific(m, 3)"
    assert str(VersionId("m", 3)) == "m@3"
    with pytest.raises(InvalidInput):
        ModelRef("m", 1, "stable")
