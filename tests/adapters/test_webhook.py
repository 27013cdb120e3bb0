"""Webhooks at a real receiver, which may fail, hang, redirect or talk without end."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from service.adapters.webhook import Webhook, read_secret
from service.domain.announcements import Announcement, Undelivered
from service.domain.errors import InvalidInput
from service.domain.jobs import Job, JobEvent, JobRequest, JobState

SECRET = b"a secret of some length"
TOLD = Announcement(
    Job("job-1", JobRequest("flowers", "iris", "ds-1"), JobState.SUCCEEDED, 0.0, version=3, gate={"verdict": "passed"}),
    JobEvent("job-1", "job.succeeded", "97 % right", 1_700_000_000.5, {}, 12),
    1,
)
Act = Callable[[asyncio.StreamWriter], Awaitable[None]]


class Receiver:
    """An HTTP server as simple as can be: it keeps each request, and answers by its ``act``."""

    def __init__(self, act: Act) -> None:
        self._act = act
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        self._ending = asyncio.Event()

    async def start(self) -> Receiver:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/hook?x=1"
        return self

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().splitlines()
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
        body = await reader.readexactly(int(headers["content-length"]))
        self.requests.append((head[0], headers, body))
        answering = asyncio.create_task(self._answer(writer))
        await asyncio.wait({answering, asyncio.create_task(self._ending.wait())}, return_when=asyncio.FIRST_COMPLETED)
        answering.cancel()
        writer.close()

    async def _answer(self, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            await self._act(writer)

    async def close(self) -> None:
        self._ending.set()
        self._server.close()


def answers(text: str) -> Act:
    async def act(writer: asyncio.StreamWriter) -> None:
        writer.write(text.replace("\n", "\r\n").encode())
        await writer.drain()

    return act


async def hangs(writer: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


async def drips(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        writer.write(b"x-more: y\r\n")
        await writer.drain()
        await asyncio.sleep(0.01)


async def talks_without_end(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000000\r\n\r\n")
    while True:
        writer.write(bytes(65536))
        await writer.drain()


async def hangs_up(writer: asyncio.StreamWriter) -> None:
    writer.close()


@pytest.fixture
async def receiver() -> AsyncIterator[Callable[[Act], Awaitable[Receiver]]]:
    made: list[Receiver] = []

    async def make(act: Act) -> Receiver:
        made.append(await Receiver(act).start())
        return made[-1]

    yield make
    for one in made:
        await one.close()


Make = Callable[[Act], Awaitable[Receiver]]


async def test_a_job_that_ended_is_told_of_signed_and_by_name(receiver: Make) -> None:
    place = await receiver(answers("HTTP/1.1 204 No Content\n\n"))
    await Webhook(place.url, SECRET, lambda: 1_700_000_100.9).tell(TOLD)
    ((line, headers, body),) = place.requests
    assert line == "POST /hook?x=1 HTTP/1.1"
    assert (headers["content-type"], headers["graft-event-id"]) == ("application/json", "job-1-12")
    at, _, digest = headers["graft-signature"].partition(",v1=")
    assert at == "t=1700000100"
    assert digest == hmac.new(SECRET, b"1700000100." + body, hashlib.sha256).hexdigest()
    told = json.loads(body)
    assert (told["id"], told["type"], told["time"]) == ("job-1-12", "job.succeeded", "2023-11-14T22:13:20.500Z")
    assert told["job"] == {
        "id": "job-1",
        "head": "flowers",
        "base": "iris",
        "dataset": "ds-1",
        "state": "succeeded",
        "version": 3,
        "gate": {"verdict": "passed"},
        "error": None,
    }


@pytest.mark.parametrize(
    ("act", "said"),
    [
        (answers("HTTP/1.1 500 Oh\ncontent-length: 0\n\n"), "answered 500"),
        (answers("HTTP/1.1 410 Gone\ncontent-length: 0\n\n"), "answered 410"),
        (answers("no HTTP at all\n\n"), "cannot be reached"),
        (hangs_up, "cannot be reached"),
        (hangs, "not answered within 0.3 s"),
        (drips, "not answered within 0.3 s"),
    ],
    ids=["fails", "gone", "nonsense", "hangs-up", "hangs", "drips"],
)
async def test_a_receiver_that_does_not_say_well_has_not_heard(receiver: Make, act: Act, said: str) -> None:
    place = await receiver(act)
    with pytest.raises(Undelivered, match=said):
        await Webhook(place.url, SECRET, lambda: 0.0, 0.3 if "0.3" in said else 20.0).tell(TOLD)
    assert len(place.requests) == 1


async def test_nobody_there_has_not_heard(receiver: Make) -> None:
    place = await receiver(hangs)
    await place.close()
    with pytest.raises(Undelivered, match="cannot be reached"):
        await Webhook(place.url, SECRET, lambda: 0.0).tell(TOLD)


async def test_a_redirect_is_not_followed(receiver: Make) -> None:
    elsewhere = await receiver(answers("HTTP/1.1 200 OK\ncontent-length: 0\n\n"))
    place = await receiver(answers(f"HTTP/1.1 307 Go\nlocation: {elsewhere.url}\ncontent-length: 0\n\n"))
    with pytest.raises(Undelivered, match="answered 307"):
        await Webhook(place.url, SECRET, lambda: 0.0).tell(TOLD)
    assert not elsewhere.requests


async def test_an_answer_without_end_is_not_read(receiver: Make) -> None:
    place = await receiver(talks_without_end)
    await Webhook(place.url, SECRET, lambda: 0.0).tell(TOLD)


@pytest.mark.parametrize("url", ["", "ftp://x/y", "http://", "file:///etc/passwd", "http://[::1", "graft.example/hook"])
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(InvalidInput, match="the webhook's URL"):
        Webhook(url, SECRET, lambda: 0.0)


def test_a_secret_is_read_without_the_newline_an_editor_leaves(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_bytes(SECRET + b"\r\n")
    assert read_secret(file) == SECRET
    file.write_bytes(b"short\n")
    with pytest.raises(InvalidInput, match="at least 16 bytes, and this 5"):
        read_secret(file)
    with pytest.raises(OSError, match="none"):
        read_secret(tmp_path / "none")
