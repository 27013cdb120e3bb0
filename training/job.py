"""One job as a process that its service can trust: alone in its working directory, out of the way of serving, and gone
as soon as the service is.
"""

from __future__ import annotations

import fcntl
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from service.domain.progress import Failed
from training.errors import TrainingFailed
from training.events import JsonLines
from training.task import read_task

LOCK = "lock"
LEAST_PRIORITY = 19


def run_job(workdir: Path) -> int:
    """Run the task in a working directory; 0 after ``Finished``, 1 after ``Failed``."""
    with _events_only_on_stdout() as console, console:
        _die_with_parent()
        _give_way()
        with _alone_in(workdir):
            return _run(workdir, console)


def _run(workdir: Path, console: JsonLines) -> int:
    from training.pipeline import HeadRun
    from training.recipe import parse_overrides
    from training.workarea import WorkArea

    try:
        task = read_task(workdir)
        recipe = parse_overrides(task.recipe)
        area = WorkArea(workdir, task.identity())
        console.emit(HeadRun(task, recipe, area, console.emit).run())
    except TrainingFailed as error:
        console.emit(Failed(error.code, str(error), error.details))
        return 1
    return 0


@contextmanager
def _events_only_on_stdout() -> Iterator[JsonLines]:
    """Events go to what standard output was; whatever libraries print, also from C, goes to standard error."""
    sys.stdout.flush()
    events = os.dup(1)
    os.dup2(2, 1)
    with os.fdopen(events, "w", encoding="utf-8") as stream:
        yield JsonLines(stream)


def _die_with_parent() -> None:
    """End this process, and its children where it leads them, once standard input is closed at the other end."""
    threading.Thread(target=_wait_for_end_of_input, name="parent-watch", daemon=True).start()


def _wait_for_end_of_input() -> None:
    while os.read(0, 4096):
        pass
    if os.getpgrp() == os.getpid():
        os.killpg(os.getpgrp(), signal.SIGKILL)
    os._exit(-signal.SIGKILL & 0xFF)


def _give_way() -> None:
    try:
        os.nice(LEAST_PRIORITY)
    except OSError as error:
        # A sandbox may forbid it; the job is slower for others then, not wrong.
        print(f"cannot lower the priority: {error}", file=sys.stderr)


@contextmanager
def _alone_in(workdir: Path) -> Iterator[None]:
    """Hold the directory's lock, after waiting for whoever holds it now; the holder's pid is in it."""
    descriptor = os.open(workdir / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)
