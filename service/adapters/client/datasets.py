"""``graft datasets``: labelled data in a server's keeping."""

from __future__ import annotations

import json
from argparse import Namespace
from typing import Any

import httpx
from rich.table import Table

from service.adapters.client.asking import answer, command, console, segment, subcommand
from service.adapters.client.uploading import add_data_options, data_fields, posted


def add_commands(commands: Any) -> None:
    """``datasets`` with what can be done to them; alone it lists them."""
    group = command(commands, "datasets", "list datasets, or upload, check, show or delete one", _list)
    within = group.add_subparsers(metavar="COMMAND")
    subcommand(within, "list", "list datasets, newest first", _list)
    upload = subcommand(within, "upload", "upload labelled data, which is checked at once", _upload)
    add_data_options(upload)
    # Another program does it, and before this one looks at the rest of the line.
    within.add_parser("check", help="look for everything wrong with labelled data here, as the server would")
    for name, help, run in (
        ("show", "show one, with all that its check found", _show),
        ("delete", "delete one; versions tuned from it stay", _delete),
    ):
        subcommand(within, name, help, run).add_argument("dataset", nargs="+" if run is _delete else None)


def _list(client: httpx.Client, arguments: Namespace) -> int:
    table = Table("dataset", "file", "format", "items", "classes", "bytes", "created")
    for one in answer(client.get("/v1/datasets"))["datasets"]:
        counts = (str(one["items"]), str(len(one["classes"])), str(one["size_bytes"]))
        table.add_row(one["id"], one["filename"], one["format"], *counts, one["created"])
    console().print(table)
    return 0


def _upload(client: httpx.Client, arguments: Namespace) -> int:
    dataset = answer(posted(client, "/v1/datasets", arguments.file, data_fields(arguments)))
    print(f"dataset {dataset['id']}")
    print(f"{dataset['items']} items, {len(dataset['classes'])} classes")
    for warning in dataset["report"]["warnings"]:
        print(f"  {warning['place']}: {warning['message']}")
    return 0


def _show(client: httpx.Client, arguments: Namespace) -> int:
    place = f"/v1/datasets/{segment(arguments.dataset)}"
    dataset = answer(client.get(place))
    print(json.dumps({**dataset, "report": answer(client.get(f"{place}/report"))}, indent=1))
    return 0


def _delete(client: httpx.Client, arguments: Namespace) -> int:
    for id in arguments.dataset:
        answer(client.delete(f"/v1/datasets/{segment(id)}"))
        print(f"dataset {id} is deleted")
    return 0
