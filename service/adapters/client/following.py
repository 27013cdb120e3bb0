"""Following a job to its end, through restarts of the server."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from typing import Any

import httpx
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from service.adapters.client.asking import ClientError, answer, segment
from service.domain.jobs import TERMINAL_EVENTS

PATIENCE_S = 120.0
"""How long one who follows a job waits for a server that went away."""


def follow(client: httpx.Client, job_id: str) -> int:
    """Show a job's progress until it ends; 0 when it ended well.

    Raises:
        ClientError: it did not, or cannot be followed.
    """
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
    job = answer(client.get(f"/v1/jobs/{segment(job_id)}"))
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
    with client.stream("GET", f"/v1/jobs/{segment(job_id)}/events", headers=headers) as response:
        if response.status_code == httpx.codes.SERVICE_UNAVAILABLE:
            raise _Away("the server is not ready, or stopping")
        if not response.is_success:
            response.read()
            answer(response)
        for line in response.iter_lines():
            if line.startswith("data:"):
                yield json.loads(line.removeprefix("data:"))
