"""The ``experiment`` command: from a name or a file to results, pictures and a report in a directory."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from service.domain.progress import Failed
from training.errors import TrainingFailed
from training.events import Announcer, Emit, JsonLines, ProgressBar, chatter_held_back
from training.experiment.page import HEADINGS, page, rows
from training.experiment.pictures import pictures
from training.experiment.reading import read_experiment, shipped
from training.experiment.results import results, title
from training.experiment.runner import RUNS, materials, run
from training.experiment.schema import Experiment

RESULTS, REPORT = "results.json", "report.html"


def experiment(options: argparse.Namespace) -> int:
    """Run the command; its exit status."""
    if options.list:
        for name in shipped():
            print(f"{name:<16} {read_experiment(name).question}")
        return 0
    if options.target is None or (options.out is None and not options.show):
        print("graft experiment: give an experiment and --out DIR, or --list", file=sys.stderr)
        return 2
    settings = [*options.settings]
    settings += [f"repeats.{key}={value}" for key, value in _said(options, "sources", "seeds").items()]
    settings += [f"{key}={value}" for key, value in _said(options, "seed").items()]
    if options.show:
        return _shown(options.target, settings, options.quick)
    if options.json:
        with JsonLines(sys.stdout) as lines:
            return _ran(options, settings, lines.emit)
    with chatter_held_back(), ProgressBar() as bar:
        return _ran(options, settings, bar.emit)


def _shown(target: str, settings: Sequence[str], quick: bool) -> int:
    try:
        print(json.dumps(read_experiment(target, settings, quick).model_dump(mode="json"), indent=1))
    except TrainingFailed as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _ran(options: argparse.Namespace, settings: Sequence[str], emit: Emit) -> int:
    try:
        found = conduct(
            read_experiment(options.target, settings, options.quick), options.out, emit, not options.no_pictures
        )
    except TrainingFailed as error:
        emit(Failed(error.code, str(error), error.details))
        return 1
    if options.json:
        told = {key: found[key] for key in ("name", "verdict", "cautions", "seconds", "digest")}
        print(json.dumps({"event": "experiment", **told, "out": str(options.out)}))
    else:
        print(_text(found, options.out))
    return 0


def conduct(experiment: Experiment, out: Path, emit: Emit, with_pictures: bool = True) -> dict[str, Any]:
    """Run the experiment into a directory; its results, which are there as ``results.json`` too.

    Raises:
        TrainingFailed: as ``runner.run``; or pictures are wanted and matplotlib is not there.
    """
    began = time.monotonic()
    announcer = Announcer({"experiment": 1.0}, emit)
    runs = run(experiment, out, lambda text, done, total: announcer.progress("experiment", text, done, total))
    found = results(experiment, runs, time.monotonic() - began)
    _write(out / RESULTS, json.dumps(found, ensure_ascii=False))
    if with_pictures:
        drawn = pictures(experiment, runs, found["studies"], materials(experiment))
        for name, svg in drawn.items():
            _write(out / f"{name}.svg", svg)
        _write(out / REPORT, page(found, drawn))
    return found


def _write(path: Path, text: str) -> None:
    """Whole or not at all."""
    beside = path.with_name(f".{path.name}")
    beside.write_text(text, encoding="utf-8")
    beside.replace(path)


def _said(options: argparse.Namespace, *names: str) -> dict[str, int]:
    return {name: getattr(options, name) for name in names if getattr(options, name) is not None}


def _text(found: dict[str, Any], out: Path) -> str:
    """The tables and the verdict for a terminal."""
    lines = []
    for study in found["studies"]:
        table = [list(HEADINGS), *rows(study)]
        widths = [max(len(row[column]) for row in table) for column in range(len(HEADINGS))]
        lines += ["", title(study, found["studies"])]
        for row in table:
            first, *rest = (
                cell.ljust(width) if not place else cell.rjust(width)
                for place, (cell, width) in enumerate(zip(row, widths, strict=True))
            )
            lines.append("  ".join([first, *rest]).rstrip())
    lines += ["", *found["verdict"], "", *(f"note: {caution}" for caution in found["cautions"])]
    lines.append(f"results in {out}: {RESULTS}, {REPORT}, {RUNS}, pictures; {found['seconds']} s")
    return "\n".join(lines)
