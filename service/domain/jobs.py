"""Tuning jobs: the states, the one table of legal moves, and the history that every move writes.

A store applies a move and its event in one transaction, so no code path can change a state and forget the history. A
cancel is a request recorded on the job; CANCELLED is written only when the trainer's process group is gone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from service.domain.errors import Conflict


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

PHASES = ("validate", "split", "features", "probe", "calibrate", "evaluate", "export", "gate", "publish")
"""What the trainer does, in order. It announces each by name."""

PHASE_STATES: Mapping[str, JobState] = {
    "validate": JobState.VALIDATING,
    "split": JobState.RUNNING,
    "features": JobState.RUNNING,
    "probe": JobState.RUNNING,
    "calibrate": JobState.RUNNING,
    "evaluate": JobState.EVALUATING,
    "export": JobState.PUBLISHING,
    "gate": JobState.PUBLISHING,
    "publish": JobState.PUBLISHING,
}


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


def moved(
    job: Job, to: JobState, at: float, message: str, *, data: Mapping[str, Any] | None = None, **changes: Any
) -> tuple[Job, JobEvent]:
    """The job after a move, and the event that tells of it: ``job.<state>``.

    Raises:
        IllegalMove: the table does not allow it.
    """
    if to not in MOVES[job.state]:
        raise IllegalMove(job.id, job.state, to)
    if to is JobState.QUEUED:
        changes = {"phase": None, "percent": 0.0, "eta_s": None, "owner": None, "heartbeat": None, **changes}
    if to.terminal:
        changes = {"finished": at, "eta_s": None, "owner": None, "heartbeat": None, **changes}
    event = JobEvent(job.id, f"job.{to}", message, at, {"from": str(job.state), **(data or {})})
    return replace(job, state=to, **changes), event
