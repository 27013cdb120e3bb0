"""``graft models`` and ``graft predict``: what a server serves, and one request to it."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

import httpx
from rich.table import Table

from service.adapters.client.asking import ClientError, answer, command, console, segment


def add_commands(commands: Any) -> None:
    """``models`` and ``predict``."""
    models = command(commands, "models", "list what a server serves", _models)
    models.add_argument("model", nargs="?", help="only this one")
    predict = command(commands, "predict", "send one predict request", _predict)
    predict.add_argument("model")
    predict.add_argument("request", help="JSON text, or a file with it, or - for standard input: a list of instances, "
                         "or a whole request body")  # fmt: skip


def _models(client: httpx.Client, arguments: Namespace) -> int:
    listed = answer(client.get("/v1/models"))["models"]
    chosen = [model for model in listed if arguments.model in (None, model["name"])]
    if arguments.model and not chosen:
        raise ClientError(f"no model is called {arguments.model!r}; there are {[m['name'] for m in listed]}")
    table = Table("model", "kind", "version", "state", "labels", "base", "engine", "error")
    for model in chosen:
        for version in model["versions"]:
            number, engine, error = version["version"], version["engine"] or "", version["error"] or ""
            labels = ", ".join(sorted(label for label, points_at in model["labels"].items() if points_at == number))
            base = model["base"] or ""
            table.add_row(model["name"], model["kind"], str(number), version["state"], labels, base, engine, error)
    console().print(table)
    return 0


def _predict(client: httpx.Client, arguments: Namespace) -> int:
    text = arguments.request
    if text == "-":
        text = sys.stdin.read()
    elif not text.lstrip().startswith(("{", "[")):
        text = Path(text).read_text()
    try:
        body = json.loads(text)
    except ValueError as error:
        raise ClientError(f"the request is not JSON: {error}") from error
    if isinstance(body, list):
        body = {"instances": body}
    print(json.dumps(answer(client.post(f"/v1/models/{segment(arguments.model)}:predict", json=body)), indent=1))
    return 0
