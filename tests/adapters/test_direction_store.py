"""The direction store over SQLite, over PostgreSQL, and the fake that other tests use in their place."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from direction_fakes import MemoryDirections
from postgres import Postgres, running_postgres

from service.adapters.job_database import JobDatabase
from service.application.ports import DirectionStore
from service.domain.direction import Canary, Change, Direction, Limits, Share
from service.domain.direction_changes import labelled, on_trial, promoted, shadowed
from service.domain.errors import Conflict

SAID = Change(12.5, "said so", "é", "because\nof that")


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with running_postgres() as server:
        yield server


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[DirectionStore]:
    match request.param:
        case "memory":
            yield MemoryDirections()
            return
        case "sqlite":
            url = f"sqlite:///{tmp_path}/jobs.db"
        case _:
            url = request.getfixturevalue("postgres").database()
    database = JobDatabase(url)
    yield database
    database.close()


def test_nothing_was_said_of_anything(store: DirectionStore) -> None:
    assert store.directions() == {}


def test_a_direction_comes_back_as_it_was(store: DirectionStore) -> None:
    steps = [promoted(Direction(), 1, SAID)]
    steps.append(on_trial(steps[-1], Canary(2, 0.25, Limits(0.1, 3.0, 0.9), 1000), None, SAID))
    steps.append(shadowed(steps[-1], [3, 4], SAID))
    steps.append(labelled(steps[-1], "blue", [Share(1, 0.5), Share(2)], SAID))
    for step in steps:
        store.direct("m", step)
        assert store.directions() == {"m": step}
    other = promoted(Direction(), 2**40, SAID)
    store.direct("models/é", other)
    assert store.directions() == {"m": steps[-1], "models/é": other}


def test_only_what_follows_from_the_one_stored_is_stored(store: DirectionStore) -> None:
    first = promoted(Direction(), 1, SAID)
    store.direct("m", first)
    for wrong in (first, promoted(Direction(), 2, SAID), promoted(promoted(first, 2, SAID), 3, SAID)):
        with pytest.raises(Conflict):
            store.direct("m", wrong)
    with pytest.raises(Conflict):
        store.direct("n", promoted(first, 2, SAID))
    assert store.directions() == {"m": first}


def test_of_many_who_change_one_at_once_one_does(store: DirectionStore) -> None:
    def change(number: int) -> int:
        try:
            store.direct("m", promoted(Direction(), number, SAID))
        except Conflict:
            return 0
        return 1

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(change, range(8))) == 1
