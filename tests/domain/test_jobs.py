"""The table of moves, pair by pair, and what a move does to a job."""

from dataclasses import replace

import pytest

from service.domain.errors import Conflict, InvalidInput
from service.domain.jobs import (
    MOVES,
    PHASE_STATES,
    PHASES,
    IllegalMove,
    Job,
    JobRequest,
    JobState,
    check_head_name,
    course,
    crashes_in_a_row,
    moved,
    tried_again,
)

TABLE = """
               queued validating running evaluating publishing succeeded failed cancelled
    queued        .        x        .        .          .          .        x       x
    validating    x        .        x        .          .          x        x       x
    running       x        .        .        x          .          x        x       x
    evaluating    x        .        .        .          x          x        x       x
    publishing    x        .        .        .          .          x        x       x
    succeeded     .        .        .        .          .          .        .       .
    failed        .        .        .        .          .          .        .       .
    cancelled     .        .        .        .          .          .        .       .
"""
COLUMNS, *ROWS = [line.split() for line in TABLE.split("\n") if line.strip()]
PAIRS = [(row[0], to, mark == "x") for row in ROWS for to, mark in zip(COLUMNS, row[1:], strict=True)]


def job(state: JobState, **more: object) -> Job:
    return Job("job-1", JobRequest("h", "b", "d"), state, 1.0, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(("before", "after", "legal"), PAIRS)
def test_every_pair_of_states(before: str, after: str, legal: bool) -> None:
    if not legal:
        with pytest.raises(IllegalMove, match=f"is {before} and cannot become {after}"):
            moved(job(JobState(before)), JobState(after), 2.0, "")
        return
    move = moved(job(JobState(before)), JobState(after), 2.0, "why", data={"n": 1})
    assert (move.before, move.job.state) == (JobState(before), JobState(after))
    assert (move.event.type, move.event.message, move.event.time) == (f"job.{after}", "why", 2.0)
    assert move.event.data == {"from": before, "n": 1}


def test_the_table_is_whole() -> None:
    assert len(PAIRS) == len(JobState) ** 2 == 64
    assert set(MOVES) == set(JobState)
    assert issubclass(IllegalMove, Conflict)
    assert [state for state in JobState if state.terminal] == ["succeeded", "failed", "cancelled"]
    assert [state for state in JobState if state.active] == ["validating", "running", "evaluating", "publishing"]
    assert set(PHASES) == set(PHASE_STATES)


def test_a_job_back_in_the_queue_has_no_owner_and_no_progress() -> None:
    held = job(JobState.RUNNING, owner="me", heartbeat=3.0, phase="probe", percent=50.0, eta_s=2.0, attempt=2)
    back = moved(held, JobState.QUEUED, 4.0, "lost").job
    assert (back.owner, back.heartbeat, back.phase, back.percent, back.eta_s) == (None, None, None, 0.0, None)
    assert (back.attempt, back.finished) == (2, None)


def test_crashes_in_a_row_are_counted_with_longer_pauses_and_a_further_phase_begins_anew() -> None:
    held, pauses = job(JobState.VALIDATING), []
    for phase in (None, "validate", "features", "features", "split", "probe"):
        move = tried_again(replace(held, phase=phase), 10.0, (1.0, 4.0), "crashed")
        assert move.job.not_before is not None
        pauses.append((move.job.crashes, move.job.not_before - 10.0, move.job.reached))
        assert move.event.data["pause_s"] == move.job.not_before - 10.0
        assert move.event.data["crashes"] == move.job.crashes
        held = replace(move.job, state=JobState.VALIDATING)
    assert pauses == [(1, 1.0, 0), (2, 4.0, 0), (1, 1.0, 2), (2, 4.0, 2), (3, 4.0, 2), (1, 1.0, 3)]


def test_a_job_handed_back_has_neither_crashed_nor_to_wait() -> None:
    held = job(JobState.RUNNING, phase="probe", crashes=2, reached=1, not_before=7.0)
    back = moved(held, JobState.QUEUED, 4.0, "the service stops").job
    assert (back.crashes, back.reached, back.not_before) == (0, 3, None)
    assert crashes_in_a_row(replace(back, state=JobState.RUNNING, phase="probe")) == 1
    assert moved(replace(held, reached=3), JobState.QUEUED, 4.0, "the service stops").job.crashes == 2
    assert moved(replace(back, not_before=9.0), JobState.CANCELLED, 5.0, "").job.not_before is None


def test_an_ended_job_has_no_owner_and_keeps_how_far_it_came() -> None:
    held = job(JobState.RUNNING, owner="me", heartbeat=3.0, phase="probe", percent=50.0, eta_s=2.0)
    ended = moved(held, JobState.FAILED, 4.0, "bad", error={"code": "x"}).job
    assert (ended.owner, ended.heartbeat, ended.eta_s, ended.finished) == (None, None, None, 4.0)
    assert (ended.phase, ended.percent, ended.error) == ("probe", 50.0, {"code": "x"})


@pytest.mark.parametrize("state", [state for state in JobState if state.active])
@pytest.mark.parametrize("phase", PHASES)
def test_the_course_to_a_phase_is_legal_step_by_step_and_never_backwards(state: JobState, phase: str) -> None:
    at = job(state)
    for step in course(state, phase):
        at = moved(at, step, 2.0, "").job
    states = list(JobState)
    assert at.state == max(state, PHASE_STATES[phase], key=states.index)


def test_there_is_no_course_from_a_job_not_at_work_or_to_an_unknown_phase() -> None:
    assert course(JobState.QUEUED, "probe") == course(JobState.FAILED, "probe") == course(JobState.RUNNING, "x") == ()


def test_names_of_heads() -> None:
    for name in ("a", "7", "flowers-2.1_b", "x" * 63):
        check_head_name(name)
    for name in ("", ".", "..", ".a", "a.", "-a", "A", "a/b", "a\\b", "a\n", "x" * 64, "a b", "ä"):
        with pytest.raises(InvalidInput):
            check_head_name(name)
