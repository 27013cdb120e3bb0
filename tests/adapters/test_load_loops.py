"""The two loops over clients made here, and the client of HTTP over a server made here."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import numpy as np
import pytest

from service.adapters.load_test.findings import NEVER_SENT, Findings, together
from service.adapters.load_test.loops import Unanswered, run
from service.adapters.load_test.plan import Plan, Question, Target
from service.adapters.load_test.rest import RestClient

TARGET = Target("rest", "http://here")
ASKED = Question("/predict", b"[1]")


class Answering:
    """Answers at once, but for the first request it gets, which takes its time; keeps what it was asked."""

    def __init__(self, first_s: float = 0.0, error: str | None = None) -> None:
        self.first_s, self.error = first_s, error
        self.asked: list[Question] = []

    async def ask(self, question: Question) -> str | None:
        self.asked.append(question)
        await asyncio.sleep(self.first_s if len(self.asked) == 1 else 0)
        return self.error

    async def close(self) -> None:
        pass


def plan(**changes: object) -> Plan:
    settings = {"questions": (ASKED,), "clients": 1, "seconds": 0.4, "warm_s": 0.0, **changes}
    return Plan(TARGET, **settings)  # type: ignore[arg-type]


async def test_a_closed_loop_waits_with_the_server_and_sees_one_slow_answer() -> None:
    found = await run(plan(), lambda: Answering(first_s=0.3))
    assert int((found.latencies_s > 0.1).sum()) == 1


async def test_an_open_loop_counts_the_wait_of_what_was_due_meanwhile() -> None:
    found = await run(plan(rate=100.0), lambda: Answering(first_s=0.3))
    # 100 a second for 0.3 s were due while the one client waited; those of the first 0.2 s waited 0.1 s or longer.
    assert int((found.latencies_s > 0.1).sum()) >= 15
    assert not found.errors


async def test_what_no_client_ever_got_to_is_an_error() -> None:
    found = await run(plan(seconds=0.1, rate=200.0), lambda: Answering(first_s=5.2))
    assert found.errors[NEVER_SENT] >= 15


async def test_the_warm_up_does_not_count() -> None:
    client = Answering()
    found = await run(plan(warm_s=0.2, seconds=0.2, rate=100.0), lambda: client)
    assert found.latencies_s.size == pytest.approx(20, abs=1)
    assert len(client.asked) == pytest.approx(40, abs=1)


async def test_errors_are_counted_by_code_and_not_among_the_latencies() -> None:
    found = await run(plan(rate=50.0), lambda: Answering(error="503"))
    assert set(found.errors) == {"503"}
    assert found.latencies_s.size == found.answered == 0


async def test_an_answer_that_does_not_come_in_time_is_lost() -> None:
    found = await run(plan(rate=10.0, timeout_s=0.05), lambda: Answering(first_s=60))
    assert found.errors["timed out"] == 1


async def test_questions_are_asked_in_turn() -> None:
    questions, client = (ASKED, Question("/predict", b"[2]")), Answering()
    await run(plan(questions=questions, rate=50.0), lambda: client)
    assert client.asked[:4] == [*questions, *questions]


def test_findings_of_several_processes_are_one() -> None:
    parts = [Findings(2.0, np.array([0.1]), 4, {"503": 1}, 0.2), Findings(2.0, np.array([0.3]), 6, {"503": 2}, 0.9)]
    found = together(parts)
    assert found.per_second == 5
    assert found.percentile_ms(100) == pytest.approx(300)
    assert found.errors == {"503": 3}
    assert found.busiest_sender == 0.9


def test_nothing_answered_has_no_percentile() -> None:
    assert np.isnan(Findings(1.0, np.array([]), 0, {}, 0.0).percentile_ms(99))


Act = Callable[[asyncio.StreamReader, asyncio.StreamWriter], "asyncio.Future[None]"]


@asynccontextmanager
async def listening(*answers: bytes) -> AsyncIterator[tuple[str, list[bytes]]]:
    """A server that gives these answers in turn, one a request; an empty one closes the connection. And what it got."""
    got: list[bytes] = []
    left = list(answers)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.readuntil(b"\r\n\r\n"):
            got.append(head + await reader.readexactly(len(ASKED.body)))
            answer = left.pop(0)
            writer.write(answer)
            if not answer or b"connection: close" in answer:
                break
        writer.close()

    def ended(task: asyncio.Task[None]) -> None:
        assert isinstance(task.exception(), asyncio.IncompleteReadError | None)

    async def started(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asyncio.create_task(serve(reader, writer)).add_done_callback(ended)

    server = await asyncio.start_server(started, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    yield f"http://{host}:{port}", got
    server.close()


GOOD = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"
CLOSES = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}"
BUSY = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n"
INFORMS = b"HTTP/1.1 100 Continue\r\n\r\n"


async def test_http_one_connection_many_requests() -> None:
    async with listening(GOOD, BUSY, INFORMS + GOOD) as (address, got):
        client = RestClient(Target("rest", address, {"x-mine": "yes"}))
        assert [await client.ask(ASKED) for _ in range(3)] == [None, "503", None]
        await client.close()
    assert got[0].startswith(b"POST /predict HTTP/1.1\r\n")
    assert b"x-mine: yes\r\n" in got[0]
    assert got[0].endswith(b"content-length: 3\r\n\r\n[1]")


async def test_http_a_connection_the_server_closed_is_opened_again() -> None:
    async with listening(CLOSES, b"", GOOD) as (address, _):
        client = RestClient(Target("rest", address))
        assert await client.ask(ASKED) is None
        with pytest.raises(Unanswered, match="connection lost"):
            await client.ask(ASKED)
        assert await client.ask(ASKED) is None
        await client.close()


async def test_http_nobody_there_and_no_http() -> None:
    async with listening(b"SSH-2.0-what\r\n\r\n") as (address, _):
        client = RestClient(Target("rest", address))
        with pytest.raises(Unanswered, match="no HTTP"):
            await client.ask(ASKED)
        await client.close()
    with pytest.raises(Unanswered, match="not connected"):
        await RestClient(Target("rest", address)).ask(ASKED)
