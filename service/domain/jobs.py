"""Tuning jobs: the states, the one table of legal moves, and the history that every move writes.

A store applies a move and its event in one transaction, so no code path can change a state and forget the history. A
cancel is a request recorded on the job; CANCELLED is written only when the trainer's process group is gone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from service.domain.budget import Budget
from service.domain.errors import Conflict, InvalidInput


class JobState(StrEnum):
    """Where a job is. The gate's verdict is not a state: a job whose candidate was refused has still succeeded."""

    QUEUED = "queued"
    VALIDATING = "validating"
    RUNNING = "running"
    EVALUATING = "evaluating"
    PUBLISHING = "publishing"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def terminal(self) -> bool:
        """Whether nothing more will happen to the job."""
        return not MOVES[self]

    @property
    def active(self) -> bool:
        """Whether a trainer is, or ought to be, at work."""
        return not self.terminal and self is not JobState.QUEUED


_ENDS = frozenset({JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED})
_LOST = JobState.QUEUED
"""A job whose trainer or service was lost goes back to the queue and runs again from its last finished phase."""

MOVES: Mapping[JobState, frozenset[JobState]] = {
    JobState.QUEUED: frozenset({JobState.VALIDATING, JobState.FAILED, JobState.CANCELLED}),
    JobState.VALIDATING: frozenset({JobState.RUNNING, _LOST}) | _ENDS,
    JobState.RUNNING: frozenset({JobState.EVALUATING, _LOST}) | _ENDS,
    JobState.EVALUATING: frozenset({JobState.PUBLISHING, _LOST}) | _ENDS,
    JobState.PUBLISHING: frozenset({_LOST}) | _ENDS,
    JobState.SUCCEEDED: frozenset(),
    JobState.FAILED: frozenset(),
    JobState.CANCELLED: frozenset(),
}

PHASES = (
    "validate",
    "split",
    "features",
    "probe",
    "finetune",
    "calibrate",
    "evaluate",
    "export",
    "gate",
    "publish",
)
"""What the trainer does, in order. It announces each by name."""

WAITING = "waiting"
"""In place of a phase: the job is handed on, and waits for a machine to work on. It costs nothing meanwhile."""

PHASE_STATES: Mapping[str, JobState] = {
    "validate": JobState.VALIDATING,
    "split": JobState.RUNNING,
    "features": JobState.RUNNING,
    "probe": JobState.RUNNING,
    "finetune": JobState.RUNNING,
    "calibrate": JobState.RUNNING,
    "evaluate": JobState.EVALUATING,
    "export": JobState.PUBLISHING,
    "gate": JobState.PUBLISHING,
    "publish": JobState.PUBLISHING,
}

_COURSE = (JobState.VALIDATING, JobState.RUNNING, JobState.EVALUATING, JobState.PUBLISHING)
_HEAD_NAME = re.compile(r"[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?")


def course(state: JobState, phase: str) -> Sequence[JobState]:
    """The states an active job passes through, in order, to be where the phase belongs: none when it is there already,
    or further. A job that goes on after a loss announces a late phase first, and then passes through several at once.
    """
    to = PHASE_STATES.get(phase)
    if to is None or not state.active:
        return ()
    return _COURSE[_COURSE.index(state) + 1 : _COURSE.index(to) + 1]


def check_head_name(name: str) -> None:
    """A head's name becomes a directory, a path segment of a URL and the value of a metric's label.

    Raises:
        InvalidInput: it is not fit for all of them.
    """
    if not _HEAD_NAME.fullmatch(name):
        raise InvalidInput(
            f"{name[:80]!r} cannot name a head: give 1 to 63 of a-z, 0-9, '.', '_', '-', a letter or digit at both ends"
        )


class IllegalMove(Conflict):
    """The job's present state does not lead there."""

    def __init__(self, job_id: str, before: JobState, after: JobState) -> None:
        super().__init__(f"job {job_id} is {before} and cannot become {after}")


@dataclass(frozen=True, slots=True)
class JobRequest:
    """What an operator asks for: a new version of ``head`` on ``base``, from ``dataset``."""

    head: str
    base: str
    dataset: str
    recipe: Mapping[str, Any] = field(default_factory=dict)
    priority: int = 0
    budget: Budget = Budget()
    on_success: str = "promote"
    """What becomes of the version; see ``OnSuccess``."""


@dataclass(frozen=True, slots=True)
class Job:
    """One tuning run."""

    id: str
    request: JobRequest
    state: JobState
    created: float
    """Seconds since the epoch, like every time here."""
    started: float | None = None
    finished: float | None = None
    phase: str | None = None
    percent: float = 0.0
    eta_s: float | None = None
    attempt: int = 0
    crashes: int = 0
    """How often it crashed or was lost since it last finished a further phase."""
    reached: int = 0
    """How many phases its earlier attempts have finished, at most."""
    not_before: float | None = None
    """When a job that crashed may be tried again."""
    cancel_requested: bool = False
    version: int | None = None
    metrics: Mapping[str, Any] | None = None
    gate: Mapping[str, Any] | None = None
    recipe: Mapping[str, Any] | None = None
    """As resolved by the trainer: every ``auto`` replaced by what it became."""
    error: Mapping[str, Any] | None = None
    owner: str | None = None
    """The service process at work on it."""
    heartbeat: float | None = None


@dataclass(frozen=True, slots=True)
class JobEvent:
    """One line of a job's history. ``seq`` grows by one within a job; 0 means not stored yet."""

    job_id: str
    type: str
    message: str
    time: float
    data: Mapping[str, Any] = field(default_factory=dict)
    seq: int = 0


@dataclass(frozen=True, slots=True)
class Move:
    """A step along the table: where the job was, the job as it is after it, and the event that tells of it."""

    before: JobState
    job: Job
    event: JobEvent


def moved(
    job: Job, to: JobState, at: float, message: str, *, data: Mapping[str, Any] | None = None, **changes: Any
) -> Move:
    """The move of a job to another state; its event is ``job.<state>``.

    Raises:
        IllegalMove: the table does not allow it.
    """
    if to not in MOVES[job.state]:
        raise IllegalMove(job.id, job.state, to)
    if to is JobState.QUEUED:
        anew = {"phase": None, "percent": 0.0, "eta_s": None, "owner": None, "heartbeat": None, "not_before": None}
        finished = finished_phases(job)
        crashes = 0 if finished > job.reached else job.crashes
        changes = {**anew, "reached": max(job.reached, finished), "crashes": crashes, **changes}
    if to.terminal:
        changes = {"finished": at, "eta_s": None, "owner": None, "heartbeat": None, "not_before": None, **changes}
    event = JobEvent(job.id, f"job.{to}", message, at, {"from": str(job.state), **(data or {})})
    return Move(job.state, replace(job, state=to, **changes), event)


def finished_phases(job: Job) -> int:
    """How many phases the present attempt is known to have behind it."""
    return PHASES.index(job.phase) if job.phase in PHASES else 0


def crashes_in_a_row(job: Job) -> int:
    """What ``crashes`` is when the present attempt crashes too. Having finished a further phase begins the count anew:
    a job that moves on is not given up, however often what it runs on is killed.
    """
    return 1 if finished_phases(job) > job.reached else job.crashes + 1


def tried_again(
    job: Job, at: float, pauses_s: Sequence[float], message: str, data: Mapping[str, Any] | None = None
) -> Move:
    """The move of a job that crashed back to the queue, to be claimed after a pause: the first of ``pauses_s`` after
    the first crash in a row, and so on, and from the last on always that.
    """
    crashes = crashes_in_a_row(job)
    pause_s = pauses_s[min(crashes, len(pauses_s)) - 1]
    data = {**(data or {}), "crashes": crashes, "pause_s": pause_s}
    message = f"{message}, in {pause_s:g} s"
    return moved(job, JobState.QUEUED, at, message, data=data, crashes=crashes, not_before=at + pause_s)


TERMINAL_EVENTS = frozenset(f"job.{state}" for state in _ENDS)
"""The types of the events after which a job has no others."""
