"""One job as a process that its service can trust: alone in its working directory, out of the way of serving, and gone
as soon as the service is.
"""

from __future__ import annotations

import fcntl
import os
import queue
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from service.domain.progress import Failed
from service.domain.work_area import LOCK, LOG
from training.errors import TrainingFailed
from training.events import JsonLines
from training.task import read_task

ON_STDIN = "-"
"""In place of a working directory: it will be told on standard input."""
LEAST_PRIORITY = 19


def run_job(workdir: Path) -> int:
    """Run the task in a working directory; 0 after ``Finished``, 1 after ``Failed``."""
    with _events_only_on_stdout() as console, console:
        _die_with_parent()
        _give_way()
        with _alone_in(workdir):
            return _run(workdir, console)


def run_told_job() -> int:
    """Make ready, wait for one line with a working directory, and run the task there, as ``run_job``; killed when
    standard input ends first.
    """
    with _events_only_on_stdout() as console, console:
        told: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        _die_with_parent(told.put)
        _give_way()
        _import_everything()
        workdir = Path(os.fsdecode(told.get()))
        _log_to(workdir / LOG)
        with _alone_in(workdir):
            return _run(workdir, console)


def _import_everything() -> None:
    """What any job needs and takes seconds to import. Nothing is computed: on a card that would take its memory."""
    import keras  # noqa: F401
    import scipy.optimize  # noqa: F401
    import tensorflow  # noqa: F401

    import training.pipeline  # noqa: F401


def _log_to(file: Path) -> None:
    """From here on, what is not an event goes to the end of a file."""
    sys.stderr.flush()
    log = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)


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


def _die_with_parent(first_line: Callable[[bytes], None] | None = None) -> None:
    """End this process, and its children where it leads them, once standard input is closed at the other end. Before
    that, ``first_line`` is given the first line that comes.
    """
    watch = threading.Thread(target=_read_to_the_end, args=(first_line,), name="parent-watch", daemon=True)
    watch.start()


def _read_to_the_end(first_line: Callable[[bytes], None] | None) -> None:
    held = b""
    while read := os.read(0, 4096):
        held += read if first_line else b""
        if first_line and b"\n" in held:
            first_line(held.partition(b"\n")[0])
            first_line = None
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
