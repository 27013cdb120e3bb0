"""Telling what happens while training: every event goes to one place, as JSON lines for a program or as a progress bar
for a person.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from service.domain.artifact import REPORT_PAGE
from service.domain.progress import Failed, Finished, PhaseProgress, TrainerEvent, Warned, to_line

if TYPE_CHECKING:
    from rich.console import Console as Terminal

Emit = Callable[[TrainerEvent], None]
LEAST_SHARE_FOR_ETA = 0.1
"""Of the work of this process that must be done before a guess at the rest is worth anything."""


class Announcer:
    """Turns steps of phases into percent of the whole, and into seconds to go once enough is done."""

    def __init__(self, shares: Mapping[str, float], emit: Emit, clock: Callable[[], float] = time.monotonic) -> None:
        """``shares``: how long each phase takes compared to the others, in order."""
        total = sum(shares.values())
        self._shares = {phase: share / total for phase, share in shares.items()}
        self._emit = emit
        self._clock = clock
        self._began = clock()
        self._skipped = 0.0

    def skip(self, phase: str) -> None:
        """A phase was finished by an earlier run."""
        self._skipped += self._shares[phase]

    def progress(self, phase: str, message: str, done: int = 0, total: int = 0) -> None:
        """A phase began, or came further."""
        before = 0.0
        for other, share in self._shares.items():
            if other == phase:
                break
            before += share
        fraction = before + self._shares[phase] * (done / total if total else 0.0)
        own = fraction - self._skipped
        eta = (self._clock() - self._began) * (1 - fraction) / own if own >= LEAST_SHARE_FOR_ETA else None
        percent = round(100 * fraction, 1)
        self._emit(PhaseProgress(phase, message, percent, done, total, None if eta is None else round(eta, 1)))

    def warn(self, message: str, data: Mapping[str, Any] | None = None) -> None:
        """Something the operator ought to know."""
        self._emit(Warned(message, data or {}))


class JsonLines:
    """One JSON object a line, each written at once."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __enter__(self) -> JsonLines:
        return self

    def __exit__(self, *unused: object) -> None:
        self._stream.flush()

    def emit(self, event: TrainerEvent) -> None:
        """Write the event's line."""
        self._stream.write(to_line(event) + "\n")
        self._stream.flush()


@contextmanager
def chatter_held_back() -> Iterator[None]:
    """Keep what libraries print on standard error, also from C and in children, out of a person's sight; after a crash
    it is shown after all.
    """
    sys.stderr.flush()
    with tempfile.TemporaryFile() as held, os.fdopen(os.dup(2), "wb") as shown:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            held.seek(0)
            shutil.copyfileobj(held, shown)
            raise
        finally:
            sys.stderr.flush()
            os.dup2(shown.fileno(), 2)


class ProgressBar:
    """A bar that moves, and in the end what a person wants to know."""

    def __init__(self, repository: Path | None = None, terminal: Terminal | None = None) -> None:
        """``repository``: where versions are published, to say where the report lies."""
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        self._repository = repository
        self._terminal = terminal or Console()
        columns = (
            TextColumn("{task.fields[phase]:<9}"),
            BarColumn(bar_width=28),
            TextColumn("{task.percentage:>3.0f} %  {task.description}"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[rest]}"),
        )
        self._progress = Progress(*columns, console=self._terminal, transient=True)
        self._bar = self._progress.add_task("", total=100, phase="", rest="")

    def __enter__(self) -> ProgressBar:
        self._progress.start()
        return self

    def __exit__(self, *unused: object) -> None:
        self._progress.stop()

    def emit(self, event: TrainerEvent) -> None:
        """Move the bar, or say what there is to say above it."""
        from rich.markup import escape

        from training.report.notation import seconds

        match event:
            case PhaseProgress():
                self._progress.update(
                    self._bar,
                    completed=event.percent,
                    description=escape(event.message),
                    phase=event.phase,
                    rest="" if event.eta_s is None else f"{seconds(event.eta_s)} to go",
                    refresh=True,
                )
            case Warned():
                self._say(f"[yellow]note[/]  {escape(event.message)}")
            case Finished():
                self._say_end(event)
            case Failed():
                self._say(f"[red]failed[/] ({event.code}) {escape(event.message)}")

    def _say_end(self, event: Finished) -> None:
        from rich.markup import escape

        verdict = event.gate["verdict"]
        colour = {"passed": "green", "insufficient": "yellow"}.get(verdict, "red")
        self._say(escape(event.headline))
        reasons = escape("; ".join(event.gate["reasons"]))
        self._say(f"gate: [{colour}]{verdict}[/]" + (f" ({reasons})" if reasons else ""))
        if event.version is None:
            self._say("nothing was published")
        else:
            self._say(f"published as {event.model}, version {event.version}")
            if self._repository is not None:
                page = self._repository / event.model / str(event.version) / REPORT_PAGE
                self._say(f"report: {escape(str(page))}")

    def _say(self, words: str) -> None:
        """A line in Rich's markup; a path is not broken where the terminal ends."""
        self._terminal.print(words, highlight=False, soft_wrap=True)
