"""What a service and a trainer leave each other in a job's work area, which both can reach.

On another machine a trainer works in a *turn*: one attempt to run the job, under a name that is never used again. The
service writes which turn it is; whoever has another one ends. So a turn is taken back by writing, whether the machine
that has it can be reached or not, and that nobody works any more is seen from the locks, which the system lets go of
when their holder dies.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
from pathlib import Path

TASK, LOG, LOCK = "task.json", "trainer.log", "lock"
"""What every work area has: the task, what is neither event nor worth one, and the lock of whoever works."""
TURN, TURN_LOCK, RESIDENT = "turn", "turn.lock", "resident"
"""The name of the turn that it is, the lock of whoever has one, and the bytes that its processes have in memory."""
TURN_LOST = 75
"""The exit status of one whose turn it is not, or not any longer."""
_TURN_NAME = re.compile(r"[A-Za-z0-9._-]{1,200}")


def events_of(directory: Path, turn: str) -> Path:
    """The file of a turn's events, a line each."""
    return directory / f"events-{turn}.jsonl"


def give_turn(directory: Path, turn: str) -> None:
    """From now on it is this turn's, and no other's.

    Raises:
        ValueError: that is no name of one.
    """
    if not _TURN_NAME.fullmatch(turn):
        raise ValueError(f"{turn!r} cannot name a turn")
    write_whole(directory / TURN, turn)


def take_turn_back(directory: Path) -> None:
    """From now on it is nobody's."""
    (directory / TURN).unlink(missing_ok=True)


def whose_turn(directory: Path) -> str | None:
    """The turn that it is, if it is one's."""
    try:
        return (directory / TURN).read_text(encoding="utf-8")
    except FileNotFoundError:
        return None


def write_whole(path: Path, text: str) -> None:
    """Replace a file, or leave it as it is."""
    unfinished = path.with_name(f".{path.name}")
    with unfinished.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)


def holder(lock: Path) -> int | None:
    """The process that says it holds a lock (0 when it has not said yet); None when nobody holds it."""
    try:
        descriptor = os.open(lock, os.O_RDWR)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        written = os.pread(descriptor, 32, 0).strip()
        return int(written) if written.isdigit() else 0
    else:
        return None
    finally:
        os.close(descriptor)


def last_line(status: int) -> str:
    """The last line of a turn's events: its trainer and all that this started are gone, and how it ended; negative for
    a signal.
    """
    return json.dumps({"ended": status})


def status_in(line: str) -> int | None:
    """What a last line says; None of any other."""
    try:
        said = json.loads(line)
    except (ValueError, RecursionError):
        return None
    status = said.get("ended") if isinstance(said, dict) else None
    return status if isinstance(status, int) else None
