"""The REST server over real sockets against clients that are slow, broken or hostile."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable

import pytest
from raw_http import ANSWER, CHUNKED, NOBODY, PATIENCE_S, POST, READ_S, ROWS, Make, places, sized
from serving_fakes import Gate, scaling_model

from service.domain.batches import BatchLimits


@pytest.fixture
async def make() -> AsyncIterator[Callable[..., object]]:
    """Makes places."""
    async with places() as one:
        yield one


# --- Clients that are slow --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "begun",
    [b"P", POST, sized(ROWS)[:-1], POST + CHUNKED + b"1\r\n{\r\n", POST + CHUNKED + b"1\r\n{\r\n0\r\nX: "],
    ids=["a byte", "half a head", "half a body", "half the chunks", "half a trailer"],
)
async def test_a_request_that_is_never_whole_is_408_and_its_connection_closed(make: Make, begun: bytes) -> None:
    line = await (await make()).line()
    await line.say(begun)
    status, body, _ = await line.answer()
    assert (status, body) == (408, {"error": f"the request was not whole within {READ_S:g} s"})
    assert await line.ended() == b""


async def test_a_request_that_drips_is_not_waited_for_longer(make: Make) -> None:
    for start in (b"", POST + b"Content-Length: 1000\r\n\r\n"):
        line = await (await make()).line()
        with pytest.raises(ConnectionError):
            await line.say(start, *[POST[:1]] * 1000, every_s=READ_S / 10)


async def test_who_says_nothing_is_hung_up_on_without_a_word(make: Make) -> None:
    for words in ((), (b"\r\n",)):
        line = await (await make()).line()
        await line.say(*words)
        assert await line.ended() == b""
    line = await (await make()).line()
    await line.say(sized(ROWS))
    await line.answer()
    await line.say(b"\r\n")
    assert await line.ended() == b"", "blank lines do not keep a connection open"


async def test_a_pause_between_requests_has_a_limit_of_its_own(make: Make) -> None:
    line = await (await make(keep_alive_s=3 * READ_S)).line()
    await line.say(sized(ROWS))
    assert (await line.answer())[0] == 200
    await asyncio.sleep(1.5 * READ_S)
    await line.say(sized(ROWS))
    assert (await line.answer())[0] == 200
    assert await line.ended() == b""


async def test_a_large_body_that_keeps_coming_may_take_longer(make: Make) -> None:
    line = await (await make()).line()
    blanks = b" " * 20_000
    await line.say(
        POST + b"Content-Length: %d\r\n\r\n" % (len(blanks) * 10 + len(ROWS)), *[blanks] * 10, every_s=READ_S / 4
    )
    await line.say(ROWS)
    assert (await line.answer())[:2] == (200, ANSWER)


# --- Clients that say too much ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "said",
    [
        b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nA: " + b"a" * 600_000,
        b"GET / HTTP/1.1\r\nA: " + b"a" * 70_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 210,
        POST + CHUNKED + b"1\r\n{\r\n0\r\nX: " + b"a" * 600_000,
        POST + CHUNKED + b"1\r\n{\r\n0\r\n" + b"A: b\r\n" * 210,
        POST + CHUNKED + b"1;x=" + b"a" * 600_000,
    ],
    ids=["address", "endless field", "field", "fields", "endless trailer", "trailers", "chunk extension"],
)
async def test_a_head_beyond_measure_is_431(make: Make, said: bytes) -> None:
    line = await (await make(read_s=PATIENCE_S)).line()
    line.writer.write(said)  # all of it may not be taken
    status, body, _ = await line.answer()
    assert (status, body) == (431, {"error": "a request's head may have 65536 bytes and 200 fields"})
    await line.ended()


@pytest.mark.parametrize("said", [b"\x16\x03\x01\x02\x00", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"GET / HTTP/9\r\n"])
async def test_what_is_no_http_is_400_in_json(make: Make, said: bytes) -> None:
    line = await (await make()).line()
    await line.say(said)
    assert (await line.answer())[:2] == (400, {"error": "Invalid HTTP request received."})
    assert await line.ended() == b""


async def test_one_connection_too_many_is_told_to_come_back(make: Make) -> None:
    place = await make(most_connections=1, read_s=PATIENCE_S)
    first, second = await place.line(), await place.line()
    status, body, head = await second.answer()
    assert (status, b"retry-after: 1" in head) == (503, True)
    assert body == {"error": "there are 1 connections already; try again shortly"}
    await first.say(sized(ROWS))
    assert (await first.answer())[0] == 200


# --- Bodies that nobody can answer ------------------------------------------------------------------------------------


async def test_a_large_body_for_nobody_is_answered_before_it_is_there(make: Make) -> None:
    place = await make(read_s=PATIENCE_S)
    for framing in (b"Content-Length: 1000000\r\n\r\n", CHUNKED + b"F4240\r\n"):
        line = await place.line()
        await line.say(NOBODY + framing + b" " * 500_000)
        status, body, _ = await line.answer()
        assert (status, body) == (404, {"error": "Servable not found for request: Latest(nobody)"})
        await line.say(b" " * 500_000 + (b"\r\n0\r\n\r\n" if framing.startswith(b"T") else b""), sized(ROWS))
        assert (await line.answer())[:2] == (200, ANSWER), "the rest is passed over, and the connection goes on"
    refused = [event for event in place.bench.observer.named("answered") if event[1] == "nobody"]
    assert [event[5] for event in refused] == ["ModelNotFound"] * 2


async def test_a_large_body_is_not_taken_in_while_the_queue_is_full(make: Make) -> None:
    place = await make(read_s=PATIENCE_S, batches=BatchLimits(max_rows=1, max_waiting_rows=1))
    model = scaling_model(2)
    place.bench.publish("held", 1, model)
    await place.bench.look()
    gate = model.run_gate = Gate()
    held = POST.replace(b"models/m:", b"models/held:")
    waiting = [await place.line() for _ in range(8)]
    for line in waiting:
        await line.say(sized(ROWS, held))
    await gate.arrival()
    await place.bench.until(lambda: "Overloaded" in {event[5] for event in place.bench.observer.named("answered")})
    late = await place.line()
    await late.say(held + b"Content-Length: 1000000\r\n\r\n")
    status, _, head = await late.answer()
    assert status == 503
    assert re.search(rb"retry-after: \d+\r\n", head)
    gate.open()
    said = {(await line.answer())[0] for line in waiting}
    assert said == {200, 503}


async def test_the_rest_of_such_a_body_is_not_passed_over_for_ever(make: Make) -> None:
    line = await (await make()).line()
    await line.say(NOBODY + b"Content-Length: 1000000\r\n\r\n")
    assert (await line.answer())[0] == 404
    with pytest.raises(ConnectionError):
        await line.say(*[b" " * 100] * 1000, every_s=READ_S / 10)


async def test_a_body_that_waits_to_be_asked_for_is_not_when_nobody_wants_it(make: Make) -> None:
    line = await (await make()).line()
    await line.say(NOBODY + b"Expect: 100-continue\r\nContent-Length: 1000000\r\n\r\n")
    status, _, head = await line.answer()
    assert (status, b"connection: close" in head) == (404, True)
    assert await line.ended() == b""


async def test_a_body_that_says_it_is_too_large_is_believed(make: Make) -> None:
    line = await (await make()).line()
    await line.say(POST + b"Content-Length: 4000001\r\n\r\n")
    assert (await line.answer())[0] == 413


async def test_half_sent_bodies_together_have_a_limit(make: Make) -> None:
    place = await make(most_bodies=1_000_000, read_s=PATIENCE_S)
    half = POST + b"Content-Length: 900000\r\n\r\n" + b" " * 600_000
    first, second = await place.line(), await place.line()
    await first.say(half)
    await asyncio.sleep(0.1)
    await second.say(half)
    status, body, head = await second.answer()
    assert (status, b"retry-after: 1" in head) == (503, True)
    assert body == {"error": "other requests fill the 1000000 bytes that there are for bodies"}
    first.writer.close()
    await asyncio.sleep(0.1)
    third = await place.line()
    await third.say(half, b" " * (300_000 - len(ROWS)), ROWS)
    assert (await third.answer())[:2] == (200, ANSWER), "the room of who left is free again"


# --- Another protocol -------------------------------------------------------------------------------------------------

UPGRADE = POST + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEA\r\n"


@pytest.mark.parametrize("cut", [0, 10, 200, len(sized(ROWS, UPGRADE)) - 3])
async def test_who_offers_http2_with_a_request_is_answered_in_this_one(make: Make, cut: int) -> None:
    """As Java's client does with the first request of each connection."""
    line = await (await make(read_s=PATIENCE_S)).line()
    words = sized(ROWS, UPGRADE) + UPGRADE + CHUNKED + b"%x\r\n%s\r\n0\r\n\r\n" % (len(ROWS), ROWS) + sized(ROWS)
    await line.say(words[:cut], words[cut:], every_s=0.05)
    for _ in range(3):
        assert (await line.answer())[:2] == (200, ANSWER)
