"""``graft tune``: labelled data goes up, and a job begins."""

from __future__ import annotations

import json
from argparse import Namespace
from pathlib import Path
from typing import Any

import httpx

from service.adapters.client.asking import answer, command, number, segment
from service.adapters.client.following import follow
from service.adapters.client.uploading import add_data_options, data_fields, posted


def add_commands(commands: Any) -> None:
    """``tune``."""
    parser = command(commands, "tune", "upload labelled data, and grow a head from it", _tune)
    add_data_options(parser)
    parser.add_argument("--base", required=True, help="model to grow on")
    parser.add_argument("--head", required=True, help="name of the model to make a new version of")
    parser.add_argument("--recipe", help="JSON with recipe fields, for instance '{\"seed\": 3}', or a file with it")
    parser.add_argument("--key", help="idempotency key: asking again with it gives the same job")
    parser.add_argument("--priority", type=int, help="from -100 to 100; the higher go first (default 0)")
    parser.add_argument("--max-seconds", type=number, metavar="S", help="give up when it takes longer")
    parser.add_argument("--max-memory-mb", type=number, metavar="MB", help="give up when it needs more memory")
    parser.add_argument("--on-success", metavar="WHAT", help="what becomes of the version: promote (the default), "
                        "register, canary or canary:PERCENT")  # fmt: skip
    parser.add_argument("--require-new", action="store_true", help="train even if a job has made just this already")
    parser.add_argument("--provisional", action="store_true", help="of a new head: let a first guess answer meanwhile")
    parser.add_argument("--watch", action="store_true", help="show the progress until it is done")


def _tune(client: httpx.Client, arguments: Namespace) -> int:
    fields = {**data_fields(arguments), **_order(arguments)}
    headers = {"idempotency-key": arguments.key} if arguments.key else {}
    place = f"/v1/models/{segment(arguments.base)}:tune"
    job = answer(posted(client, place, arguments.file, fields, headers))
    print(f"job {job['id']}", flush=True)
    if job["reused"]:
        print(f"it has made just this already: {job['head']}@{job['version']}; --require-new trains again")
        return 0
    if made := job["provisional"]:
        print(_made(job["head"], made), flush=True)
    return follow(client, job["id"]) if arguments.watch else 0


def _made(head: str, made: dict[str, Any]) -> str:
    if made["problem"] is not None:
        return f"no provisional head: {made['problem']}"
    return f"{head}@0 answers provisionally: right about {made['accuracy']:.0%} of {made['items']} items left out"


def _order(arguments: Namespace) -> dict[str, str]:
    """The form's fields that say what is wanted; what was left out is the server's to decide. Raises: OSError."""
    fields: dict[str, str] = {"head": arguments.head}
    if recipe := arguments.recipe:
        fields["recipe"] = recipe if recipe.lstrip().startswith("{") else Path(recipe).read_text()
    if arguments.priority is not None:
        fields["priority"] = str(arguments.priority)
    bounds = {name: getattr(arguments, name) for name in ("max_seconds", "max_memory_mb")}
    if budget := {name: bound for name, bound in bounds.items() if bound is not None}:
        fields["budget"] = json.dumps(budget)
    if arguments.on_success:
        fields["on_success"] = arguments.on_success
    if arguments.require_new:
        fields["require_new"] = "true"
    if arguments.provisional:
        fields["provisional"] = "true"
    return fields
