"""Who is answered by which version: shares, and the changes that lead from one direction to the next."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as some

from service.domain.direction import Canary, Change, Direction, Limits, Share, chosen
from service.domain.direction_changes import (
    MOST_LABELS,
    MOST_SHADOWS,
    MOST_SHARES,
    held_at,
    labelled,
    on_trial,
    promoted,
    rolled_back,
    shadowed,
)
from service.domain.errors import Conflict, InvalidInput

SAID = Change(1.0, "said so", "a test")


@pytest.mark.parametrize(
    "make",
    [
        lambda: Share(-1),
        lambda: Share(1, 0.0),
        lambda: Share(1, float("nan")),
        lambda: Share(1, float("inf")),
        lambda: Limits(more_errors=1.0),
        lambda: Limits(slower=0.9),
        lambda: Limits(disagreement=0.0),
        lambda: Canary(2, 0.0),
        lambda: Canary(2, 100.0),
        lambda: Canary(2, float("nan")),
        lambda: Canary(2, 5.0, promote_after=0),
    ],
)
def test_what_cannot_be_is_refused(make: Callable[[], object]) -> None:
    with pytest.raises(InvalidInput):
        make()


def test_shares_are_kept_to() -> None:
    split = (Share(1, 3), Share(2, 1))
    taken = Counter(chosen(split, {1, 2}, step / 1000) for step in range(1000))
    assert taken == {1: 750, 2: 250}


def test_the_share_of_a_version_that_does_not_answer_goes_to_the_others_by_their_weights() -> None:
    split = (Share(1, 3), Share(2, 1), Share(3, 4))
    taken = Counter(chosen(split, {1, 2}, step / 1000) for step in range(1000))
    assert taken == {1: 750, 2: 250}
    assert chosen(split, {7}, 0.5) is None


@given(
    some.dictionaries(some.integers(0, 9), some.floats(1e-6, 1e6), min_size=1, max_size=6),
    some.floats(0, 1, exclude_max=True),
)
def test_whatever_the_weights_somebody_of_the_split_is_chosen(weights: dict[int, float], point: float) -> None:
    split = tuple(Share(version, weight) for version, weight in weights.items())
    assert chosen(split, weights, point) in weights


def test_without_a_word_the_newest_answers() -> None:
    assert Direction().split() is None
    assert Direction().wanted == frozenset()
    assert [Direction().split(label) for label in ("stable", "canary", "blue")] == [None, None, None]


def test_a_canary_has_its_share_and_what_answered_has_the_rest() -> None:
    direction = on_trial(Direction(), Canary(4, 5.0), 3, SAID)
    assert direction.split() == (Share(3, 95.0), Share(4, 5.0))
    assert direction.split("stable") == (Share(3),)
    assert direction.split("canary") == (Share(4),)
    assert direction.wanted == {3, 4}
    assert direction.compared == {4}


def test_a_canary_stands_beside_another_version() -> None:
    with pytest.raises(Conflict, match="promote it instead"):
        on_trial(Direction(), Canary(1, 5.0), None, SAID)
    with pytest.raises(Conflict, match="answers already"):
        on_trial(Direction(stable=4), Canary(4, 5.0), 3, SAID)


def test_promoted_it_is_neither_canary_nor_shadow() -> None:
    direction = promoted(Direction(stable=3, canary=Canary(4, 5.0), shadows=(4, 5)), 4, SAID)
    assert (direction.stable, direction.canary, direction.shadows, direction.before) == (4, None, (5,), (3,))
    assert direction.wanted == {3, 4, 5}, "the one to go back to stays ready"


def test_to_promote_what_answers_refuses_the_canary_and_is_no_step_to_go_back_over() -> None:
    direction = promoted(Direction(stable=3, canary=Canary(4, 5.0)), 3, SAID)
    assert (direction.stable, direction.canary, direction.before) == (3, None, ())


def test_rolled_back_a_canary_is_gone_first_and_then_one_version_after_the_other() -> None:
    direction = Direction()
    for version in (1, 2, 3):
        direction = promoted(direction, version, SAID)
    direction = on_trial(direction, Canary(4, 50.0), None, SAID)
    seen = []
    for _ in range(3):
        direction = rolled_back(direction, SAID)
        seen.append(direction.stable)
    assert seen == [3, 2, 1]
    with pytest.raises(Conflict, match="no earlier version"):
        rolled_back(direction, SAID)


def test_what_answers_can_be_held_whatever_is_published() -> None:
    direction = held_at(Direction(), 3, SAID)
    assert direction.split() == (Share(3),)
    assert held_at(direction, 4, SAID) is direction


def test_a_label_points_at_a_split_until_it_is_forgotten() -> None:
    direction = labelled(Direction(), "blue", [Share(1, 1), Share(2, 3)], SAID)
    assert direction.split("blue") == (Share(1, 1), Share(2, 3))
    assert direction.wanted == {1, 2}
    assert labelled(direction, "blue", [], SAID).labels == {}
    assert labelled(direction, "green", [], SAID).labels == direction.labels, "to forget what is not there is no fault"


@pytest.mark.parametrize("label", ["stable", "canary"])
def test_stable_and_canary_point_where_they_do_by_themselves(label: str) -> None:
    with pytest.raises(InvalidInput, match="by itself"):
        labelled(Direction(), label, [Share(1)], SAID)


@pytest.mark.parametrize("label", ["", "a b", "-a", "a/", "é", "a" * 64])
def test_a_label_becomes_part_of_an_address(label: str) -> None:
    with pytest.raises(InvalidInput, match="is no label"):
        labelled(Direction(), label, [Share(1)], SAID)


def test_labels_shares_and_shadows_are_bounded() -> None:
    with pytest.raises(InvalidInput, match="each named once"):
        labelled(Direction(), "a", [Share(1), Share(1)], SAID)
    with pytest.raises(InvalidInput, match="at most"):
        labelled(Direction(), "a", [Share(number) for number in range(MOST_SHARES + 1)], SAID)
    with pytest.raises(InvalidInput, match="at most"):
        shadowed(Direction(), range(MOST_SHADOWS + 1), SAID)
    direction = Direction()
    for number in range(MOST_LABELS):
        direction = labelled(direction, f"l{number}", [Share(1)], SAID)
    with pytest.raises(InvalidInput, match="at most"):
        labelled(direction, "one-more", [Share(1)], SAID)


def test_shadows_are_compared_with_the_stable_version_and_are_not_it() -> None:
    direction = shadowed(Direction(stable=3), [5, 4, 5], SAID)
    assert direction.shadows == (4, 5)
    assert direction.split() == (Share(3),)
    with pytest.raises(InvalidInput, match="compared with"):
        shadowed(direction, [3], SAID)


def test_every_change_is_the_next_revision_and_the_latest_are_remembered() -> None:
    direction = Direction()
    for number in range(60):
        direction = promoted(direction, number, Change(float(number), f"promoted {number}", "a test"))
    assert direction.revision == 60
    assert [change.what for change in direction.changes][-1] == "promoted 59"
    assert len(direction.changes) == 50
    assert len(direction.before) == 20
