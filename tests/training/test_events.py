"""What a person sees while training: phase, percent, time to go; at the end the verdict and where the report lies."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from service.domain.jobs import PHASES
from service.domain.progress import Failed, Finished, PhaseProgress, TrainerEvent, Warned
from training.events import Announcer, ProgressBar


class Clock:
    """A clock that is set."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def shown() -> Console:
    """A terminal that remembers what was written on it."""
    return Console(file=io.StringIO(), width=110, force_terminal=False)


def written(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_percent_grows_from_phase_to_phase_to_the_end() -> None:
    events: list[TrainerEvent] = []
    announcer = Announcer(dict.fromkeys(PHASES, 1.0), events.append, Clock())
    for phase in PHASES:
        announcer.progress(phase, "begins")
        announcer.progress(phase, "half", 1, 2)
    percents = [event.percent for event in events if isinstance(event, PhaseProgress)]
    assert percents == sorted(percents)
    assert (percents[0], percents[-1]) == (0.0, 95.0)


def test_the_time_to_go_is_what_the_pace_of_this_process_says() -> None:
    events: list[TrainerEvent] = []
    clock = Clock()
    announcer = Announcer({"a": 1.0, "b": 2.0, "c": 1.0}, events.append, clock)
    announcer.skip("a")  # by an earlier run: it says nothing of this one's pace
    announcer.progress("b", "begins")
    clock.now += 10.0
    announcer.progress("b", "half", 1, 2)
    first, second = (event for event in events if isinstance(event, PhaseProgress))
    assert first.eta_s is None
    assert second.percent == 50.0
    # A quarter of the work in ten seconds, two quarters to go.
    assert second.eta_s == pytest.approx(20.0)


def finished(version: int | None) -> Finished:
    gate = {"verdict": "insufficient", "reasons": ["50 test items; 100 are needed [for a sure verdict]"]}
    return Finished("fives", version, {}, gate, {}, "fives answers 0.940 of 50 sealed items right.")


def test_the_end_says_verdict_reasons_version_and_where_the_report_lies(shown: Console) -> None:
    with ProgressBar(Path("some") / "repository", shown) as bar:
        bar.emit(finished(3))
    said = written(shown)
    assert said.index("fives answers 0.940") < said.index("gate: insufficient")
    assert "(50 test items; 100 are needed [for a sure verdict])" in said
    assert "published as fives, version 3" in said
    assert "report: some/repository/fives/3/assets.extra/graft/report.html" in said


def test_nothing_published_has_no_report(shown: Console) -> None:
    with ProgressBar(Path("repository"), shown) as bar:
        bar.emit(finished(None))
    assert "nothing was published" in written(shown)
    assert "report:" not in written(shown)


def test_what_is_said_is_not_taken_for_the_terminals_own_markup(shown: Console) -> None:
    with ProgressBar(None, shown) as bar:
        bar.emit(PhaseProgress("validate", "[/] of data[0]", 3.0))
        bar.emit(Warned("column [red]: constant"))
        bar.emit(Failed("bad_data", "x[0] is [bold]"))
    assert "note  column [red]: constant" in written(shown)
    assert "failed (bad_data) x[0] is [bold]" in written(shown)


def test_the_bar_shows_phase_percent_and_time_to_go() -> None:
    terminal = Console(file=io.StringIO(), width=120, force_terminal=True, color_system=None)
    with ProgressBar(None, terminal) as bar:
        bar.emit(PhaseProgress("finetune", "learning rate 1e-4, step 40 of 500", 41.0, 40, 500, 95.0))
    said = written(terminal)
    assert "finetune" in said
    assert "41 %" in said
    assert "1 min 35 s to go" not in said.split("finetune")[0]
    assert "95 s to go" in said
