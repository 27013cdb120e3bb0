"""A file on its way up: as a form, piece by piece, with a bar that shows how far it is."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from pathlib import Path

import httpx
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

_OPTIONS = ("format", "label", "task")


def add_data_options(parser: ArgumentParser) -> None:
    """What says which data, and how it is to be read."""
    parser.add_argument("file", type=Path, metavar="FILE", help="zip with one folder of images a class, CSV, NPZ, ...")
    parser.add_argument("--format", help="zip, csv, ...; left out, it is seen by the content")
    parser.add_argument("--label", help="tables: the column that holds the label; several with commas between them")
    parser.add_argument("--task", help="multiclass, binary, multilabel or regression; left out, multiclass")


def data_fields(arguments: Namespace) -> dict[str, str]:
    """The form's fields that say how the data is to be read."""
    return {name: value for name in _OPTIONS if (value := getattr(arguments, name))}


def posted(
    client: httpx.Client, place: str, path: Path, fields: Mapping[str, str], headers: Mapping[str, str] | None = None
) -> httpx.Response:
    """The answer to a form with this file in it. Raises: OSError, it cannot be read; httpx.HTTPError."""
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    # Standard output is for what comes of it.
    with (
        Progress(*columns, console=Console(stderr=True), transient=True) as progress,
        progress.open(path, "rb", description=f"sending {path.name}") as file,
    ):
        return client.post(place, data=dict(fields), files={"file": (path.name, file)}, headers=dict(headers or {}))
