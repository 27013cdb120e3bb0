"""What a job asks for on its version's behalf: said before anyone could see the version, and once it is there."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from service.application.tuning import Tuning
from service.domain.errors import Conflict, InvalidInput, NotReady
from service.domain.jobs import Job, JobRequest, JobState
from service.domain.on_success import OnSuccess
from tests.application.tuning_fakes import FINISHED, STUCK, WHOLE, Bench, FakeTrainer, end_of, event_of, types_of

REFUSED = [*WHOLE[:-1], {"say": {**FINISHED, "version": None}}]


class RecordingGoingLive:
    """The ``GoingLive`` port: notes what it is told, and how many trainers had begun by then."""

    def __init__(self, trainer: FakeTrainer) -> None:
        self._trainer = trainer
        self.told: list[tuple[object, ...]] = []
        self.away = {"hold": 0, "published": 0}
        """How many times more it does not answer when it is asked to do this."""
        self.refusal: Conflict | None = None

    async def hold(self, model: str, by: str) -> object:
        self._answer("hold")
        self.told.append(("hold", model, by, len(self._trainer.tasks)))
        return None

    async def published(self, model: str, version: int, on_success: OnSuccess, by: str) -> object:
        self._answer("published")
        if self.refusal is not None:
            raise self.refusal
        self.told.append((str(on_success), model, version, by))
        return None

    def _answer(self, what: str) -> None:
        if self.away[what]:
            self.away[what] -= 1
            raise NotReady("the store is away")


class Place:
    """Tuning, and what it tells of its versions."""

    def __init__(self, directory: Path) -> None:
        self.bench = Bench(directory)
        self.live = RecordingGoingLive(self.bench.trainer)

    async def ordered(self, on_success: str, acts: object = WHOLE) -> tuple[Tuning, Job]:
        tuning = self.bench.service(going_live=self.live)
        dataset = await self.bench.dataset(tuning)
        asked = JobRequest("flowers", "iris", dataset.id, {"acts": acts}, on_success=on_success)
        return tuning, await tuning.jobs.submit(asked)


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    made = Place(tmp_path)
    yield made
    made.bench.trainer.leaving.set()
    await made.bench.close()


@pytest.mark.parametrize("way", ["register", "canary:10"])
async def test_what_answers_is_held_before_training_and_the_version_spoken_of_after(place: Place, way: str) -> None:
    tuning, job = await place.ordered(way)
    place.bench.at_work(tuning)
    assert (await end_of(tuning, job)).state is JobState.SUCCEEDED
    assert place.live.told == [("hold", "flowers", job.id, 0), (way, "flowers", 3, job.id)]


async def test_a_version_to_be_promoted_holds_nothing(place: Place) -> None:
    tuning, job = await place.ordered("promote")
    place.bench.at_work(tuning)
    await end_of(tuning, job)
    assert place.live.told == [("promote", "flowers", 3, job.id)]


async def test_a_version_that_the_gate_refused_is_not_spoken_of(place: Place) -> None:
    tuning, job = await place.ordered("canary", REFUSED)
    place.bench.at_work(tuning)
    ended = await end_of(tuning, job)
    assert (ended.state, ended.version) == (JobState.SUCCEEDED, None)
    assert place.live.told == [("hold", "flowers", job.id, 0)]


async def test_who_does_not_answer_is_asked_again_and_the_job_says_so(place: Place) -> None:
    place.live.away = {"hold": 0, "published": 2}
    tuning, job = await place.ordered("canary")
    place.bench.at_work(tuning)
    ended = await end_of(tuning, job)
    assert (ended.state, ended.version, ended.attempt) == (JobState.SUCCEEDED, 3, 1)
    assert [what for what, *_ in place.live.told] == ["hold", "canary:5"]
    assert (await types_of(tuning, job)).count("job.warning") == 1


async def test_no_trainer_begins_before_what_answers_is_held(place: Place) -> None:
    place.live.away["hold"] = 10**6
    tuning, job = await place.ordered("register")
    place.bench.at_work(tuning)
    await event_of(tuning, job, "job.warning")
    assert place.bench.trainer.tasks == [], "what it publishes would answer at once"
    await tuning.jobs.cancel(job.id)
    assert (await end_of(tuning, job)).state is JobState.CANCELLED
    assert place.bench.trainer.tasks == []


async def test_a_job_whose_version_waits_to_go_live_outlives_its_service(place: Place) -> None:
    place.live.away["published"] = 10**6
    tuning, job = await place.ordered("canary")
    place.bench.at_work(tuning)
    await event_of(tuning, job, "job.warning")
    await tuning.close()
    place.live.away["published"] = 0
    second = place.bench.service("second", going_live=place.live)
    place.bench.at_work(second)
    ended = await end_of(second, job)
    assert (ended.state, ended.version) == (JobState.SUCCEEDED, 3)
    assert place.live.told[-1] == ("canary:5", "flowers", 3, job.id)


async def test_what_cannot_be_done_with_a_version_is_a_warning_and_the_version_stays(place: Place) -> None:
    place.live.refusal = Conflict("there is nothing it could stand beside")
    tuning, job = await place.ordered("canary")
    place.bench.at_work(tuning)
    ended = await end_of(tuning, job)
    assert (ended.state, ended.version) == (JobState.SUCCEEDED, 3)
    (said,) = [event.message for event in await tuning.jobs.events(job.id) if event.type == "job.warning"]
    assert said == "version 3 is published, and not canary:5: there is nothing it could stand beside"


async def test_a_job_that_is_cancelled_says_nothing_of_a_version(place: Place) -> None:
    tuning, job = await place.ordered("canary", STUCK)
    place.bench.at_work(tuning)
    await event_of(tuning, job, "job.phase", phase="features")
    await tuning.jobs.cancel(job.id)
    assert (await end_of(tuning, job)).state is JobState.CANCELLED
    assert [what for what, *_ in place.live.told] == ["hold"]


@pytest.mark.parametrize("way", ["", "celebrate", "promote:5", "canary:0", "canary:100", "canary:-1", "canary:1e1"])
async def test_a_way_that_there_is_not_is_refused_before_anything_is_stored(place: Place, way: str) -> None:
    with pytest.raises(InvalidInput):
        await place.ordered(way)
    assert await place.bench.service("other").jobs.list() == []
