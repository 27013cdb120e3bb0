"""What an operator may decide about tuning: where it publishes, how much at once, how long to wait for what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class TuningPolicy:
    """How one service process runs jobs. Times are in seconds."""

    repository: Path
    """Where trainers publish versions."""
    owner: str
    """The name of this process among all that share the job database; a new one at every start."""
    alone: bool = False
    """Whether no other process shares the job database: then jobs at work when this one starts are lost already."""
    concurrency: int = 1
    """Trainers at work at once."""
    most_attempts: int = 5
    """A job lost or crashed this often in a row, without having finished a further phase, is given up."""
    pauses_s: Sequence[float] = (1.0, 4.0, 15.0, 60.0)
    """How long a job waits after its first crash in a row, its second, and so on; the last is for all that follow."""
    heartbeat_s: float = 1.0
    lost_after_s: float = 10.0
    """A job whose owner has not been heard of for so long is anyone's to take."""
    poll_s: float = 2.0
    """How often to look at what other processes may have written; what this one writes is seen at once."""
    grace_s: float = 10.0
    """How long a trainer may take to end when asked, before it is made to."""
    silence_s: float = 600.0
    """A trainer that has said nothing for so long hangs, and is stopped: the job runs again as after a crash. Generous,
    because a trainer gives way to serving and may get next to no time for long.
    """
    progress_s: float = 0.25
    """Progress is stored no more often than this."""
    keep_jobs_s: float | None = None
    """How long ended jobs are kept, with their events; for ever if None."""
    keep_datasets_s: float | None = None
    """How long a dataset is kept that no job names that is kept; for ever if None."""
    sweep_s: float = 600.0
    """How often to look for what is not to be kept any longer."""
    base_wait_s: float = 60.0
    """How long a job waits for its base to answer: after a restart, jobs are claimed before models are loaded."""
