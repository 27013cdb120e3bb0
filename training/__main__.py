"""The trainer's commands. What a command needs is imported when it is run, so that a data check starts at once."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from training.data.reading import Reading


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; its exit status."""
    # TensorFlow reads these when it is imported; its notes on CPU features help nobody here.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    # numpy reads this one. On cores that also serve, two threads of one product wait for each other: 0.7 s of head
    # fitting became 7 s.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    options = _parser().parse_args(arguments)
    match options.command:
        case "train":
            return _train(options)
        case "job":
            from training.job import ON_STDIN, run_job, run_told_job

            return run_told_job() if options.workdir == ON_STDIN else run_job(Path(options.workdir))
        case "turn":
            from training.turn import take_turn

            return take_turn(options.workdir, options.turn)
        case "check":
            return _check(options)
        case "append":
            return _append(options)
        case "recipe":
            from training.recipe_page import show

            return show(options.target, options.schema)
        case "export":
            return _export(options)
        case "experiment":
            from training.experiment.command import experiment

            return experiment(options)
        case _:
            return _verify(options.directories)


def _parser() -> argparse.ArgumentParser:
    from service.domain.dataset import DatasetFormat
    from service.domain.learning import LearningTask
    from training.experiment.flags import add_experiment

    parser = argparse.ArgumentParser(
        prog="python -m training", description="Grow models from labelled data and publish them as versions."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    train = commands.add_parser("train", help="run a preset or a recipe and publish what it makes")
    train.add_argument(
        "target",
        metavar="TARGET",
        help="a preset (digits, blobs, geron, cifar-split, vgg16-gap) or a recipe file (YAML or JSON)",
    )
    train.add_argument("--repository", type=Path, required=True, metavar="DIR", help="where versions are published")
    train.add_argument("--only", choices=("base", "head"), help="one part of a preset")
    train.add_argument("--seed", type=int, metavar="N", help="in place of the recipe's seed")
    train.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        dest="settings",
        help="change the recipe, for instance head.l2=0.1 (of a preset the head's, with --only base the base's)",
    )
    train.add_argument("--json", action="store_true", help="print events as JSON lines")

    recipe = commands.add_parser("recipe", help="show a recipe with all its defaults, or what recipes may say")
    recipe.add_argument("target", nargs="?", metavar="TARGET", help="a preset or a recipe file")
    recipe.add_argument("--schema", action="store_true", help="print the JSON Schema of recipes")

    job = commands.add_parser("job", help="run the task in WORKDIR/task.json; what the service starts")
    job.add_argument(
        "workdir", metavar="WORKDIR", help="- makes ready and waits for the directory's name on standard input"
    )

    turn = commands.add_parser("turn", help="the same for as long as it is its turn; what the service has Ray start")
    turn.add_argument("workdir", type=Path, metavar="WORKDIR")
    turn.add_argument("turn", metavar="TURN", help="its name, which WORKDIR/turn has to have in it")

    check = commands.add_parser("check", help="look for everything wrong with labelled data")
    check.add_argument("file", type=Path, metavar="FILE", help="or a folder with one folder of images a class")
    check.add_argument(
        "--format", type=DatasetFormat, choices=list(DatasetFormat), help="default: seen from the content"
    )
    check.add_argument(
        "--label", metavar="COLUMNS", help="the label column; several with commas between them (default: label)"
    )
    check.add_argument(
        "--task", type=LearningTask, choices=list(LearningTask), default=LearningTask.MULTICLASS, help="what is learned"
    )
    check.add_argument("--features", metavar="COLUMNS", help="the columns that are input (default: all others)")
    for role, meaning in (
        ("group", "names groups that stay on one side of the split"),
        ("time", "says when: the latest items are tested on"),
        ("side", "says train or test"),
        ("weight", "says what an item counts in the loss"),
    ):
        check.add_argument(f"--{role}", metavar="COLUMN", help=f"the column that {meaning}")
    check.add_argument(
        "--quarantine", type=float, metavar="SHARE", help="leave out items that cannot be read, up to this share of all"
    )
    check.add_argument("--base", type=Path, metavar="VERSION_DIR", help="also whether the data fits this base")
    check.add_argument(
        "--max-memory", type=int, default=4096, metavar="MIB", help="what it may take; a file that needs more is faulty"
    )
    check.add_argument("--json", action="store_true", help="print the report as one JSON line")
    check.add_argument("--sample", metavar="WISH", help=argparse.SUPPRESS)
    _add_append(commands)

    export = commands.add_parser("export", help="write a thin head again as a complete SavedModel")
    export.add_argument("version", type=Path, metavar="VERSION_DIR", help="REPOSITORY/MODEL/VERSION")
    export.add_argument("--out", type=Path, required=True, metavar="DIR", help="where to; not there yet")

    add_experiment(commands)

    verify = commands.add_parser("verify", help="load published versions and run their golden pairs")
    verify.add_argument("directories", nargs="+", metavar="VERSION_DIR", help="- reads directories from standard input")
    return parser


def _add_append(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    from service.domain.dataset import DatasetFormat
    from service.domain.learning import LearningTask

    append = commands.add_parser("append", help="a dataset and more of its kind as one new file; what the service runs")
    append.add_argument("old", type=Path, metavar="OLD")
    append.add_argument("new", type=Path, metavar="NEW")
    append.add_argument("--out", type=Path, required=True, metavar="FILE")
    for prefix, whose in (("--old-", "the dataset's"), ("--", "the new data's")):
        append.add_argument(f"{prefix}format", type=DatasetFormat, choices=list(DatasetFormat), help=f"{whose} format")
        append.add_argument(f"{prefix}label", metavar="COLUMNS", help=f"{whose} label columns")
    append.add_argument("--task", type=LearningTask, choices=list(LearningTask), default=LearningTask.MULTICLASS)
    append.add_argument("--max-memory", type=int, default=4096, metavar="MIB")


def _train(options: argparse.Namespace) -> int:
    from training.events import JsonLines, ProgressBar, chatter_held_back
    from training.run import train

    what = (options.target, options.repository, options.only, options.seed, options.settings)
    if options.json:
        with JsonLines(sys.stdout) as lines:
            return train(*what, lines.emit)
    with chatter_held_back(), ProgressBar(options.repository) as bar:
        return train(*what, bar.emit)


def _export(options: argparse.Namespace) -> int:
    from training.errors import TrainingFailed
    from training.thin import export

    try:
        print(export(options.version.absolute(), options.out.absolute()))
    except OSError as error:
        print(f"cannot write {error.filename}: {error.strerror}", file=sys.stderr)
        return 2
    except TrainingFailed as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _check(options: argparse.Namespace) -> int:
    from service.domain.sample import SampleWish
    from training.errors import TrainingFailed
    from training.look import look

    _bound_memory(options.max_memory * 2**20)
    sample = SampleWish.from_json(options.sample) if options.sample else None
    try:
        return look(options.file, _reading(options), options.base, options.json, sample)
    except OSError as error:
        print(f"cannot read {error.filename}: {error.strerror}", file=sys.stderr)
    except TrainingFailed as error:
        print(error, file=sys.stderr)
    return 2


def _append(options: argparse.Namespace) -> int:
    from training.append import append
    from training.data.reading import Reading, label_columns

    _bound_memory(options.max_memory * 2**20)
    old = Reading(format=options.old_format, task=options.task, label=label_columns(options.old_label))
    new = Reading(format=options.format, task=options.task, label=label_columns(options.label))
    return append(options.old, old, options.new, new, options.out)


def _reading(options: argparse.Namespace) -> Reading:
    from training.data.reading import Reading, label_columns

    return Reading(
        format=options.format,
        task=options.task,
        label=label_columns(options.label),
        features=label_columns(options.features),
        group=options.group,
        time=options.time,
        side=options.side,
        weight=options.weight,
        on_bad="fail" if options.quarantine is None else "quarantine",
        max_bad=options.quarantine or 0.0,
    )


def _bound_memory(limit: int) -> None:
    """Let this process have so many bytes of addresses and no more: what is too large must not take the machine."""
    import resource

    limits = resource.getrlimit(resource.RLIMIT_AS)
    least = min(one for one in (limit, *limits) if one != resource.RLIM_INFINITY)
    resource.setrlimit(resource.RLIMIT_AS, (least, limits[1]))


def _verify(directories: Sequence[str]) -> int:
    from training.verify import FROM_STDIN, answer_requests

    named = sys.stdin if list(directories) == [FROM_STDIN] else directories
    return 0 if answer_requests(named) else 1


if __name__ == "__main__":
    sys.exit(main())
