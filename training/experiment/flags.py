"""The flags of the ``experiment`` command, apart from what it imports: other commands start without that."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def add_experiment(commands: Any) -> None:
    """The command and its flags."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "experiment",
        help="compare ways of learning one task over many seeds and source models",
        description=(
            "Run every arm of an experiment on the same data, over many seeds and source models; keep every score, and "
            "say which differences are larger than chance. An experiment that was stopped goes on where it was."
        ),
    )
    parser.add_argument("target", metavar="NAME|FILE", nargs="?", help="one that ships (see --list), or YAML or JSON")
    parser.add_argument("--out", type=Path, metavar="DIR", help="where results.json, report.html and pictures are put")
    parser.add_argument("--list", action="store_true", help="name the experiments that ship, with their questions")
    parser.add_argument("--show", action="store_true", help="print the experiment, resolved, and run nothing")
    parser.add_argument("--sources", type=int, metavar="N", help="source models, in place of the experiment's number")
    parser.add_argument("--seeds", type=int, metavar="N", help="repeats with each source model")
    parser.add_argument("--seed", type=int, metavar="N", help="in place of the experiment's seed")
    parser.add_argument(
        "--quick", action="store_true", help="seconds long, to see that it works; the figures mean nothing"
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        dest="settings",
        help="change the experiment, for instance swap=true or source.stages.0.epochs=50",
    )
    parser.add_argument("--no-pictures", action="store_true", help="results.json only: needs no matplotlib")
    parser.add_argument("--json", action="store_true", help="print events, and in the end a summary, as JSON lines")
