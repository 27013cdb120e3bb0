"""``graft jobs``: tuning jobs of a server."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Iterator, Mapping
from typing import Any

import httpx
from rich.table import Table

from service.adapters.client.asking import Command, answer, command, console, segment, subcommand
from service.adapters.client.following import events, follow
from service.domain.jobs import JobState

_PAGE = 200


def add_commands(commands: Any) -> None:
    """``jobs`` with what can be done to them; alone it lists them."""
    group = command(commands, "jobs", "list jobs, or show, watch, cancel or estimate one", _list)
    group.set_defaults(state=None, head=None, most=50)
    within = group.add_subparsers(metavar="COMMAND")
    listing = subcommand(within, "list", "list jobs, newest first", _list)
    listing.add_argument("--state", choices=[str(state) for state in JobState], help="only those in this state")
    listing.add_argument("--head", help="only those of this head")
    listing.add_argument("--most", type=int, default=50, metavar="N", help="so many at most (default 50)")
    of_one: tuple[tuple[str, str, Command], ...] = (
        ("show", "show one as JSON", _show),
        ("watch", "show its progress until it is done", _watch),
        ("cancel", "ask that it not go on, and wait until it has ended", _cancel),
        ("events", "print its history so far, one JSON object a line", _events),
    )
    for name, help, run in of_one:
        subcommand(within, name, help, run).add_argument("job", help="a job's id")
    estimate = subcommand(within, "estimate", "say what one would take, without starting it", _estimate)
    for name, help in (("head", "the head's name"), ("base", "model to grow on"), ("dataset", "a dataset's id")):
        estimate.add_argument(f"--{name}", required=True, help=help)


def _list(client: httpx.Client, arguments: Namespace) -> int:
    table = Table("job", "head", "state", "phase", "%", "version", "gate", "created")
    for job in _jobs(client, arguments.state, arguments.head, arguments.most):
        gate, version = (job["gate"] or {}).get("verdict", ""), str(job["version"] or "")
        percent = f"{job['percent']:.0f}"
        table.add_row(job["id"], job["head"], job["state"], job["phase"] or "", percent, version, gate, job["created"])
    console().print(table)
    return 0


def _jobs(client: httpx.Client, state: str | None, head: str | None, most: int) -> Iterator[Mapping[str, Any]]:
    wanted = {name: value for name, value in (("state", state), ("head", head)) if value}
    token: str | None = None
    while most > 0:
        asked = {**wanted, "limit": str(min(most, _PAGE)), **({"page_token": token} if token else {})}
        page = answer(client.get("/v1/jobs", params=asked))
        yield from page["jobs"]
        most -= len(page["jobs"])
        token = page["next_page_token"]
        if token is None:
            return


def _show(client: httpx.Client, arguments: Namespace) -> int:
    print(json.dumps(answer(client.get(f"/v1/jobs/{segment(arguments.job)}")), indent=1))
    return 0


def _watch(client: httpx.Client, arguments: Namespace) -> int:
    return follow(client, arguments.job)


def _cancel(client: httpx.Client, arguments: Namespace) -> int:
    """0 when it was cancelled, and also when it was quicker: the answer to that is a conflict, and an error."""
    place = f"/v1/jobs/{segment(arguments.job)}"
    job = answer(client.post(f"{place}:cancel"))
    for _ in events(client, arguments.job):
        pass
    job = answer(client.get(place))
    print(f"job {job['id']} {job['state']}")
    return 0 if job["state"] == "cancelled" else 1


def _events(client: httpx.Client, arguments: Namespace) -> int:
    after = 0
    while True:
        place = f"/v1/jobs/{segment(arguments.job)}/events"
        page = answer(client.get(place, params={"after": after, "limit": 500}))
        for event in page["events"]:
            print(json.dumps(event))
        if not page["events"]:
            return 0
        after = page["next"]


def _estimate(client: httpx.Client, arguments: Namespace) -> int:
    order = {name: getattr(arguments, name) for name in ("head", "base", "dataset")}
    told = answer(client.post("/v1/jobs:estimate", json=order))
    seconds, ahead = told["seconds"], told["jobs_ahead"]
    if seconds["low"] is None:
        print("how long it takes is not known: no job on this base has succeeded yet")
    else:
        print(f"{seconds['low']:g} to {seconds['high']:g} s, by {len(told['basis_jobs'])} earlier jobs on this base")
    print(f"{told['items'] or 0} items; {ahead['running']} jobs run, {ahead['queued']} wait")
    for reason in told["reasons"]:
        print(f"it would be refused: {reason['message']}")
    return 0 if told["allowed"] else 1
