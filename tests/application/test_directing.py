"""Operators' words on versions: checked, stored by compare-and-set, read again by every replica."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from direction_fakes import MemoryDirections
from serving_fakes import Bench

from service.application.directing import Directing
from service.application.directions import Directions
from service.domain.direction import Canary, Change, Direction, Share
from service.domain.direction_changes import promoted
from service.domain.errors import Conflict, InvalidInput, ModelNotFound, NotReady
from service.domain.on_success import OnSuccess

ME = "a test"


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    bench = Bench(keep=3)
    for version in (1, 2, 3):
        bench.publish("m", version)
    await bench.look()
    yield bench
    await bench.close()


@pytest.fixture
def store() -> MemoryDirections:
    return MemoryDirections()


@pytest.fixture
def directing(bench: Bench, store: MemoryDirections) -> Directing:
    return Directing(Directions(store, bench.clock), bench.models, bench.clock)


async def test_what_was_promoted_is_known_here_at_once_and_elsewhere_after_reading(
    bench: Bench, store: MemoryDirections, directing: Directing
) -> None:
    other = Directions(store, bench.clock)
    direction = await directing.promote("m", 2, ME, "looks good")
    assert directing.directions.now() == {"m": direction}
    assert (direction.stable, direction.revision) == (2, 1)
    assert direction.changes == (Change(bench.clock.now(), "promoted version 2", ME, "looks good"),)
    assert other.now() == {}
    await other.read()
    assert other.now() == {"m": direction}


async def test_what_did_not_change_is_the_same_object(bench: Bench, directing: Directing) -> None:
    bench.publish("n", 1)
    await bench.look()
    await directing.promote("m", 2, ME)
    before = directing.directions.now()
    await directing.directions.read()
    assert directing.directions.now() is before
    await directing.promote("n", 1, ME)
    assert directing.directions.now() is not before
    assert directing.directions.now()["m"] is before["m"]


async def test_a_version_that_the_repository_does_not_hold_is_refused_with_those_it_does(directing: Directing) -> None:
    for asking in (
        directing.promote("m", 9, ME),
        directing.try_out("m", Canary(9, 5.0), ME),
        directing.label("m", "blue", (Share(1), Share(9)), ME),
        directing.shadow("m", (9,), ME),
    ):
        with pytest.raises(ModelNotFound, match="no version 9 of m; it holds 1, 2, 3"):
            await asking
    with pytest.raises(ModelNotFound, match="it holds none"):
        await directing.promote("other", 1, ME)
    assert directing.directions.now() == {}


async def test_nothing_is_stored_of_a_model_that_is_not_there(store: MemoryDirections, directing: Directing) -> None:
    for asking in (directing.label("other", "blue", (), ME), directing.shadow("other", (), ME)):
        with pytest.raises(ModelNotFound, match="no model 'other'"):
            await asking
    with pytest.raises(Conflict, match="no earlier version"):
        await directing.roll_back("other", ME)
    assert store.directions() == {}


async def test_what_is_so_already_is_not_stored_again(store: MemoryDirections, directing: Directing) -> None:
    assert await directing.label("m", "blue", (), ME) == Direction()
    assert await directing.shadow("m", (), ME) == Direction()
    assert store.directions() == {}
    shadowed = await directing.shadow("m", (2, 1), ME)
    assert await directing.shadow("m", (1, 2, 2), ME) is shadowed


async def test_names_and_reasons_are_kept_as_far_as_there_is_room(directing: Directing) -> None:
    (change,) = (await directing.promote("m", 1, "n" * 5000, "w" * 5000)).changes
    assert (len(change.by), len(change.why)) == (100, 500)


async def test_every_word_has_its_effect(directing: Directing) -> None:
    await directing.hold("m", ME)
    assert directing.directions.of("m").stable == 3
    assert (await directing.hold("m", ME)).revision == 1, "to hold what is held changes nothing"
    await directing.promote("m", 1, ME)
    await directing.try_out("m", Canary(2, 10.0), ME)
    await directing.shadow("m", (3,), ME)
    await directing.label("m", "blue", (Share(3),), ME)
    direction = directing.directions.of("m")
    assert (direction.stable, direction.canary, direction.shadows) == (1, Canary(2, 10.0), (3,))
    assert direction.labels == {"blue": (Share(3),)}
    await directing.roll_back("m", ME)
    await directing.roll_back("m", ME)
    assert (directing.directions.of("m").stable, directing.directions.of("m").canary) == (3, None)
    assert [change.what for change in directing.directions.of("m").changes] == [
        "held version 3",
        "promoted version 1",
        "gave version 2 10 % of the requests",
        "compares versions 3",
        "pointed label blue at 3",
        "rolled back",
        "rolled back",
    ]


async def test_nothing_is_held_where_nothing_answers(directing: Directing) -> None:
    assert await directing.hold("other", ME) == Direction()
    assert directing.directions.now() == {}


async def test_a_canary_stands_beside_what_answers_now(directing: Directing) -> None:
    direction = await directing.try_out("m", Canary(2, 10.0), ME)
    assert direction.stable == 3
    with pytest.raises(Conflict, match="answers already"):
        await directing.try_out("m", Canary(3, 10.0), ME)


async def test_what_others_stored_meanwhile_is_not_lost(store: MemoryDirections, directing: Directing) -> None:
    store.interfere.append(("m", promoted(Direction(), 1, Change(1.0, "promoted version 1", "somebody"))))
    direction = await directing.label("m", "blue", (Share(2),), ME)
    assert (direction.stable, direction.revision) == (1, 2)


async def test_who_names_a_revision_changes_that_one_only(directing: Directing) -> None:
    await directing.promote("m", 1, ME)
    with pytest.raises(Conflict, match="at revision 1, not 0"):
        await directing.promote("m", 2, ME, revision=0)
    assert (await directing.promote("m", 2, ME, revision=1)).stable == 2


async def test_what_cannot_be_changes_nothing(directing: Directing) -> None:
    with pytest.raises(InvalidInput):
        await directing.label("m", "no label", (Share(1),), ME)
    with pytest.raises(Conflict, match="no earlier version"):
        await directing.roll_back("m", ME)
    assert directing.directions.now() == {}


async def test_a_store_that_does_not_answer_leaves_everything_as_it_is(
    store: MemoryDirections, directing: Directing
) -> None:
    direction = await directing.promote("m", 1, ME)
    store.away = True
    with pytest.raises(NotReady):
        await directing.promote("m", 2, ME)
    with pytest.raises(NotReady):
        await directing.directions.read()
    assert directing.directions.now() == {"m": direction}


@pytest.mark.parametrize("way", ["register", "canary:10", "promote"])
async def test_where_nobody_has_said_anything_the_newest_answers_anyway(directing: Directing, way: str) -> None:
    assert await directing.published("m", 3, OnSuccess.read(way), ME) == Direction()
    assert directing.directions.now() == {}


async def test_what_a_job_has_published_waits_is_tried_or_answers(directing: Directing) -> None:
    await directing.promote("m", 1, ME)
    held = directing.directions.of("m")
    assert await directing.published("m", 2, OnSuccess.read("register"), "job-1") is held
    tried = await directing.published("m", 2, OnSuccess.read("canary:10"), "job-1")
    assert (tried.stable, tried.canary, tried.changes[-1].by) == (1, Canary(2, 10.0), "job-1")
    promoted = await directing.published("m", 3, OnSuccess.read("promote"), "job-2")
    assert (promoted.stable, promoted.canary, promoted.before) == (3, None, (1,))


async def test_to_do_it_again_does_not_undo_what_somebody_did_since(directing: Directing) -> None:
    await directing.promote("m", 1, ME)
    await directing.published("m", 2, OnSuccess.read("promote"), "job-1")
    await directing.published("m", 3, OnSuccess.read("canary:10"), "job-2")
    latest = directing.directions.of("m")
    assert (latest.stable, latest.canary) == (2, Canary(3, 10.0))
    assert await directing.published("m", 2, OnSuccess.read("promote"), "job-1") is latest
    assert await directing.published("m", 3, OnSuccess.read("canary:10"), "job-2") is latest
    back = await directing.roll_back("m", ME)
    back = await directing.roll_back("m", ME)
    assert back.stable == 1
