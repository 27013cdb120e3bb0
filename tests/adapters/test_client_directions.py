"""``graft promote`` and the others like it against the routes they ask for, with everything behind these in memory."""

from __future__ import annotations

import asyncio
from argparse import ArgumentParser
from collections.abc import AsyncIterator

import httpx
import pytest
from direction_fakes import MemoryDirections, RecordingDirectionObserver
from fastapi import FastAPI
from serving_fakes import Bench

from service.adapters import client
from service.adapters.client import ClientError
from service.adapters.rest import errors
from service.adapters.rest.directions import directions_router
from service.application.directing import Directing
from service.application.directions import Directions
from service.application.probations import Probations


class Shell(httpx.BaseTransport):
    """A client's side of the routes, on a thread of its own as a shell's command is in a process of its own."""

    def __init__(self, bench: Bench, store: MemoryDirections) -> None:
        directing = Directing(Directions(store, bench.clock), bench.models, bench.clock)
        self.probations = Probations(bench.models, directing, RecordingDirectionObserver(), bench.clock)
        app = FastAPI()
        errors.install(app)
        app.include_router(directions_router(directing, self.probations))
        self._there = httpx.ASGITransport(app)
        self._loop = asyncio.get_running_loop()
        self._parser = ArgumentParser()
        client.add_commands(self._parser.add_subparsers())

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        request.read()
        return asyncio.run_coroutine_threadsafe(self._answered(request), self._loop).result(30)

    async def _answered(self, request: httpx.Request) -> httpx.Response:
        async with httpx.AsyncClient(transport=self._there) as asking:
            given = await asking.request(
                request.method, request.url, content=request.content, headers=dict(request.headers)
            )
        return httpx.Response(given.status_code, content=given.content)

    async def run(self, *words: str) -> int:
        """The command's status. Raises: ClientError."""
        arguments = self._parser.parse_args(words)

        def ask() -> int:
            with httpx.Client(base_url="http://graft", transport=self) as asking:
                status: int = arguments.client(asking, arguments)
                return status

        return await asyncio.to_thread(ask)


@pytest.fixture
def store() -> MemoryDirections:
    return MemoryDirections()


@pytest.fixture
async def shell(store: MemoryDirections) -> AsyncIterator[Shell]:
    bench = Bench(keep=3)
    for version in (1, 2, 3):
        bench.publish("m", version)
    await bench.look()
    yield Shell(bench, store)
    await bench.close()


@pytest.mark.parametrize(
    ("commands", "said"),
    [
        (["promote m 2"], "m: version 2 answers (revision 1)\n"),
        (["promote m 2", "promote m 3"], "m: version 3 answers (revision 2)\n  before: 2\n"),
        (["promote m 2", "promote m 3", "rollback m"], "m: version 2 answers (revision 3)\n"),
        (
            ["canary m 2 --percent 12.5 --promote-after 900"],
            "m: version 3 answers (revision 1)\n"
            "  canary: version 2 has 12.5 % of the requests, and is promoted after 900 good ones\n",
        ),
        (["canary m 2", "rollback m"], "m: version 3 answers (revision 2)\n"),
        (["shadow m 2 1"], "m: the newest version answers (revision 1)\n  compared: 1, 2\n"),
        (["shadow m 2 1", "shadow m"], "m: the newest version answers (revision 2)\n"),
        (["label m blue 2"], "m: the newest version answers (revision 1)\n  label blue: version 2\n"),
        (
            ["label m blue 1:9 2"],
            "m: the newest version answers (revision 1)\n  label blue: version 1 (weight 9), version 2 (weight 1)\n",
        ),
        (["label m blue 2", "label m blue"], "m: the newest version answers (revision 2)\n"),
        (["label m blue"], "m: the newest version answers (revision 0)\n"),
        (["direction m"], "m: the newest version answers (revision 0)\n"),
    ],
    ids=lambda value: value[-1] if isinstance(value, list) else "",
)
async def test_what_is_so_from_then_on_is_shown(
    shell: Shell, capsys: pytest.CaptureFixture[str], commands: list[str], said: str
) -> None:
    for command in commands:
        capsys.readouterr()
        assert await shell.run(*command.split()) == 0
    assert capsys.readouterr().out == said


async def test_limits_names_and_reasons_arrive(shell: Shell, store: MemoryDirections) -> None:
    words = ["--slower", "3", "--more-errors", "0.01", "--disagreement", "0.2", "--by", "me", "--why", "to see"]
    await shell.run("canary", "m", "2", *words, "--revision", "0")
    direction = store.directions()["m"]
    assert direction.canary is not None
    limits = direction.canary.limits
    assert (limits.slower, limits.more_errors, limits.disagreement) == (3.0, 0.01, 0.2)
    assert (direction.changes[-1].by, direction.changes[-1].why) == ("me", "to see")
    await shell.run("label", "m", "blue", "1")
    await shell.run("label", "m", "blue", "--by", "me", "--why", "enough")
    assert (store.directions()["m"].changes[-1].by, store.directions()["m"].changes[-1].why) == ("me", "enough")


async def test_what_was_seen_and_done_is_shown(shell: Shell, capsys: pytest.CaptureFixture[str]) -> None:
    await shell.run("shadow", "m", "1", "--by", "me", "--why", "to see")
    await shell.probations.look()
    capsys.readouterr()
    await shell.run("direction", "m")
    shown = capsys.readouterr().out
    assert "compared rows" in shown
    assert "it is not a head on a base that both share" in shown
    assert "me compares versions 1: to see" in shown


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("promote m 9", "holds no version 9 of m; it holds 1, 2, 3"),
        ("promote ../m 1", "Not Found"),
        ("promote m 1 --revision 4", "it was changed"),
        ("canary m 2 --percent 0", "percent"),
        ("canary m 2 --slower 0.5", "slower of at least 1"),
        ("canary m 3", "answers already"),
        ("rollback m", "no earlier version"),
        ("label m stable 1", "by itself"),
        ("label m a/b 1", "Not Found"),
        ("label m a:b 1", "no label"),
        ("label m blue 1 1", "each named once"),
        ("label nobody blue", "no model 'nobody'"),
        ("shadow nobody", "no model 'nobody'"),
    ],
)
async def test_what_cannot_be_is_said_in_words_and_changes_nothing(
    shell: Shell, store: MemoryDirections, command: str, says: str
) -> None:
    with pytest.raises(ClientError, match=says):
        await shell.run(*command.split())
    assert store.directions() == {}


@pytest.mark.parametrize(
    "command",
    [
        "promote m",
        "promote m one",
        "canary m",
        "label m",
        "label m x 1:a",
        "label m x 1:inf",
        "canary m 2 --slower nan",
    ],
)
async def test_what_is_no_command_is_refused_before_anybody_is_asked(shell: Shell, command: str) -> None:
    with pytest.raises(SystemExit):
        await shell.run(*command.split())
