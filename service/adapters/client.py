"""The command line's side of the REST API: what is served, predict, tune with a progress bar, look at jobs."""

from __future__ import annotations

import json
import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from service.domain.jobs import TERMINAL_EVENTS

DEFAULT_URL = "http://127.0.0.1:8501"
PATIENCE_S = 120.0
"""How long one who follows a job waits for a server that went away."""


class ClientError(Exception):
    """The server refused, or could not be reached; the text says what and, where the server said it, where."""


def add_commands(commands: Any) -> None:
    """The client's commands, on the parser's list of commands; each sets ``run``."""
    models = _command(commands, "models", "list what a server serves", _models)
    models.add_argument("model", nargs="?", help="only this one")
    predict = _command(commands, "predict", "send one predict request", _predict)
    predict.add_argument("model")
    predict.add_argument("request", help="JSON text, or a file with it, or - for standard input: a list of instances, "
                         "or a whole request body")  # fmt: skip
    tune = _command(commands, "tune", "upload labelled data, grow a head from it, and watch until it is done", _tune)
    tune.add_argument("head", help="name of the model to make a new version of")
    tune.add_argument("data", type=Path, help="zip with one folder of images a class, CSV, or NPZ")
    tune.add_argument("--base", required=True, help="model to grow on")
    tune.add_argument("--label", help="CSV: the column that holds the label")
    tune.add_argument("--recipe", help="JSON with recipe fields, for instance '{\"seed\": 3}'")
    jobs = _command(commands, "jobs", "list jobs, or show, follow or cancel one", _jobs)
    jobs.add_argument("job", nargs="?", help="a job's id")
    jobs.add_argument("--follow", action="store_true", help="watch it until it is done")
    jobs.add_argument("--cancel", action="store_true", help="stop it")


def _command(commands: Any, name: str, help: str, run: Callable[[httpx.Client, Namespace], int]) -> ArgumentParser:
    parser: ArgumentParser = commands.add_parser(name, help=help, description=help)
    parser.add_argument("--url", default=DEFAULT_URL, help=f"where the server's REST port is (default {DEFAULT_URL})")
    parser.set_defaults(client=run)
    return parser


def run(arguments: Namespace) -> int:
    """Run the chosen command and return the process's exit status."""
    try:
        with httpx.Client(base_url=arguments.url, timeout=httpx.Timeout(60.0, read=None)) as client:
            status: int = arguments.client(client, arguments)
            return status
    except ClientError as error:
        print(f"graft: {error}", file=sys.stderr)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        print(f"graft: {arguments.url} cannot be reached: {error}", file=sys.stderr)
    except OSError as error:
        print(f"graft: {error.filename}: {error.strerror}", file=sys.stderr)
    return 1


def _segment(name: str) -> str:
    """A name as one segment of a path, whatever is in it."""
    return quote(name, safe="")


def _answer(response: httpx.Response) -> Any:
    """The body of a good answer. Raises: ClientError with all that the server said is wrong."""
    try:
        body = response.json()
    except ValueError as error:
        raise ClientError(f"the server answered {response.status_code} and no JSON: {response.text[:200]}") from error
    if response.is_success:
        return body
    problem = body.get("error", body)
    if isinstance(problem, str):
        raise ClientError(problem)
    lines = [str(problem.get("message", problem))]
    lines += [f"  {fault.get('place', '')}: {fault['message']}" for fault in problem.get("details", ())]
    raise ClientError("\n".join(lines))


def _console() -> Console:
    """Standard output; a pipe has no width to fit into, and what reads it wants whole names."""
    return Console(width=None if sys.stdout.isatty() else 200)


def _models(client: httpx.Client, arguments: Namespace) -> int:
    listed = _answer(client.get("/v1/models"))["models"]
    chosen = [model for model in listed if arguments.model in (None, model["name"])]
    if arguments.model and not chosen:
        raise ClientError(f"no model is called {arguments.model!r}; there are {[m['name'] for m in listed]}")
    table = Table("model", "kind", "version", "state", "base", "engine", "error")
    for model in chosen:
        for version in model["versions"]:
            error, engine = version["error"] or "", version["engine"] or ""
            table.add_row(
                model["name"],
                model["kind"],
                str(version["version"]),
                version["state"],
                model["base"] or "",
                engine,
                error,
            )
    _console().print(table)
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
    print(json.dumps(_answer(client.post(f"/v1/models/{_segment(arguments.model)}:predict", json=body)), indent=1))
    return 0


def _tune(client: httpx.Client, arguments: Namespace) -> int:
    fields = {"head": arguments.head}
    fields |= {name: value for name in ("label", "recipe") if (value := getattr(arguments, name))}
    with arguments.data.open("rb") as file:
        upload = {"file": (arguments.data.name, file)}
        job = _answer(client.post(f"/v1/models/{_segment(arguments.base)}:tune", data=fields, files=upload))
    print(f"job {job['id']}")
    return _follow(client, job["id"])


def _jobs(client: httpx.Client, arguments: Namespace) -> int:
    if arguments.job is None:
        table = Table("job", "head", "state", "phase", "%", "version", "gate", "created")
        for job in _answer(client.get("/v1/jobs"))["jobs"]:
            gate, version = (job["gate"] or {}).get("verdict", ""), job["version"] or ""
            percent = f"{job['percent']:.0f}"
            table.add_row(
                job["id"], job["head"], job["state"], job["phase"] or "", percent, str(version), gate, job["created"]
            )
        _console().print(table)
        return 0
    if arguments.cancel:
        _answer(client.post(f"/v1/jobs/{_segment(arguments.job)}:cancel"))
    if arguments.follow or arguments.cancel:
        return _follow(client, arguments.job)
    print(json.dumps(_answer(client.get(f"/v1/jobs/{_segment(arguments.job)}")), indent=1))
    return 0


def _follow(client: httpx.Client, job_id: str) -> int:
    """Show a job's progress until it ends; 0 when it ended well."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeElapsedColumn(),
    )
    with Progress(*columns) as progress:
        bar = progress.add_task("queued", total=100)
        said = None
        for event in events(client, job_id):
            data, ended = event["data"], event["type"] == "job.succeeded"
            description = data.get("phase") or event["type"].removeprefix("job.")
            progress.update(bar, description=description, completed=100 if ended else data.get("percent"))
            if event["message"] != said:
                said = event["message"]
                progress.console.print(f"{event['time']}  {said}", highlight=False, soft_wrap=True)
    job = _answer(client.get(f"/v1/jobs/{_segment(job_id)}"))
    if job["state"] != "succeeded":
        raise ClientError(f"job {job_id} {job['state']}: {(job['error'] or {}).get('message', 'see its events')}")
    version = job["version"]
    print(
        f"{job['head']}@{version} is published" if version else "the gate refused the candidate; nothing was published"
    )
    return 0


def events(
    client: httpx.Client, job_id: str, patience_s: float = PATIENCE_S, pause_s: float = 1.0
) -> Iterator[Mapping[str, Any]]:
    """A job's history to its end. A server that goes away once it has told something is waited for, for so long at
    most, and goes on where it was: the job outlives a restart of it.

    Raises:
        ClientError, httpx.HTTPError: it refuses, or does not come back.
    """
    last, give_up = 0, 0.0
    while True:
        try:
            for event in _events(client, job_id, last):
                yield event
                if event["type"] in TERMINAL_EVENTS:
                    return
                last, give_up = event["seq"], time.monotonic() + patience_s
            problem: Exception = ClientError("the server ended the job's history before the job has ended")
        except (_Away, httpx.TransportError) as error:
            problem = error
        if time.monotonic() >= give_up:
            raise problem
        time.sleep(pause_s)


class _Away(ClientError):
    """The server cannot answer now."""


def _events(client: httpx.Client, job_id: str, after: int) -> Iterator[Mapping[str, Any]]:
    headers = {"accept": "text/event-stream", "last-event-id": str(after)}
    with client.stream("GET", f"/v1/jobs/{_segment(job_id)}/events", headers=headers) as response:
        if response.status_code == httpx.codes.SERVICE_UNAVAILABLE:
            raise _Away("the server is not ready, or stopping")
        if not response.is_success:
            response.read()
            _answer(response)
        for line in response.iter_lines():
            if line.startswith("data:"):
                yield json.loads(line.removeprefix("data:"))
