"""Small requests that are answered without ASGI: the same answers as with it, whatever way they come."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
from raw_http import ANSWER, CHUNKED, NOBODY, PATIENCE_S, POST, ROWS, Line, Make, Place, places, sized
from serving_fakes import Gate, scaling_model

from service.adapters.rest.direct import is_small
from service.domain.versions import ModelRef

GET = b"GET /v1/models/m HTTP/1.1\r\nHost: a\r\n\r\n"
HELD = POST.replace(b"models/m:", b"models/held:")
BAD = b'{"instances": "none"}'
LARGE = b'{"instances": [[1, 2, 3]' + b" " * 20_000 + b"]}"


@pytest.fixture
async def make() -> AsyncIterator[Callable[..., object]]:
    """Makes places."""
    async with places() as one:
        yield one


async def hold(place: Place) -> Gate:
    """A live model, ``held``, whose runs stand before this gate."""
    model = scaling_model(2)
    place.bench.publish("held", 1, model)
    await place.bench.look()
    gate = model.run_gate = Gate()
    return gate


@pytest.mark.parametrize(
    ("headers", "small"),
    [
        ({b"content-length": b"0"}, True),
        ({b"content-length": b"16384"}, True),
        ({b"content-length": b"16385"}, False),
        ({b"content-length": b"9" * 5000}, False),
        ({b"content-length": "\u00b2".encode("latin-1")}, False),
        ({}, False),
        ({b"transfer-encoding": b"chunked"}, False),
        ({b"content-length": b"5", b"transfer-encoding": b"chunked"}, False),
        ({b"content-length": b"5", b"content-encoding": b"gzip"}, False),
        ({b"content-length": b"5", b"expect": b"100-continue"}, False),
        ({b"content-length": b"5", b"upgrade": b"h2c"}, False),
    ],
    ids=["none", "most", "more", "absurd", "no digit", "unsaid", "chunked", "both", "gzip", "expects", "upgrade"],
)
def test_a_small_body_says_its_length_and_nothing_has_to_be_done_to_it(
    headers: dict[bytes, bytes], small: bool
) -> None:
    assert is_small([(b"host", b"a"), *headers.items()]) is small


@pytest.mark.parametrize("cut", [1, 4, 30, len(POST), len(POST) + 10, len(sized(ROWS)) - 1])
async def test_a_request_in_two_parts_is_answered_as_one(make: Make, cut: int) -> None:
    line = await (await make(read_s=PATIENCE_S)).line()
    await line.say(sized(ROWS)[:cut], sized(ROWS)[cut:], every_s=0.05)
    status, body, head = await line.answer()
    assert (status, body) == (200, ANSWER)
    for said in (b"content-type: application/json", b"graft-model-version: 3", b"date: "):
        assert said in head


async def test_requests_of_all_kinds_behind_each_other_are_answered_in_order(make: Make) -> None:
    line = await (await make(read_s=PATIENCE_S)).line()
    chunks = POST + CHUNKED + b"%x\r\n%s\r\n0\r\n\r\n" % (len(ROWS), ROWS)
    asked = [sized(ROWS), GET, sized(ROWS, NOBODY), sized(ROWS), chunks, sized(BAD), sized(LARGE), sized(ROWS)]
    await line.say(b"".join(asked))
    assert [(await line.answer())[0] for _ in asked] == [200, 200, 404, 200, 200, 400, 200, 200]


async def test_who_asks_for_the_end_of_the_connection_gets_it_after_the_answer(make: Make) -> None:
    line = await (await make()).line()
    await line.say(sized(ROWS, POST + b"Connection: close\r\n"))
    status, _, head = await line.answer()
    assert (status, b"connection: close" in head) == (200, True)
    assert await line.ended() == b""


async def test_http_1_0_is_answered_and_ended(make: Make) -> None:
    line = await (await make()).line()
    await line.say(sized(ROWS, POST.replace(b"HTTP/1.1", b"HTTP/1.0")))
    assert (await line.answer())[:2] == (200, ANSWER)
    assert await line.ended() == b""


async def test_what_is_no_http_behind_a_request_does_not_take_its_answer_away(make: Make) -> None:
    line = await (await make()).line()
    await line.say(sized(ROWS))
    assert (await line.answer())[0] == 200
    await line.say(sized(ROWS) + b"\x00\x01 nonsense\r\n\r\n")
    assert (await line.answer())[0] in (200, 400)
    await line.ended()


async def test_who_says_it_will_send_more_once_asked_is_asked(make: Make) -> None:
    line = await (await make()).line()
    await line.say(POST + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(ROWS))
    assert await line.line() == b"HTTP/1.1 100 Continue\r\n"
    assert await line.line() == b"\r\n"
    await line.say(ROWS)
    assert (await line.answer())[:2] == (200, ANSWER)


async def test_a_client_that_leaves_lets_the_version_go(make: Make) -> None:
    place = await make(read_s=PATIENCE_S)
    gate = await hold(place)
    online = place.bench.models.find(ModelRef("held"))
    line = await place.line()
    await line.say(sized(ROWS, HELD))
    await gate.arrival()
    assert online.pins == 1
    line.writer.transport.abort()
    await place.bench.until(lambda: online.pins == 0)
    assert "Cancelled" in {event[5] for event in place.bench.observer.named("answered")}
    gate.open()


async def test_one_that_leaves_does_not_disturb_the_others(make: Make) -> None:
    place = await make(read_s=PATIENCE_S)
    gate = await hold(place)
    leaving, staying = await place.line(), await place.line()
    for line in (leaving, staying):
        await line.say(sized(ROWS, HELD))
    await gate.arrival()
    leaving.writer.transport.abort()
    gate.open()
    assert (await staying.answer())[:2] == (200, ANSWER)


async def test_a_server_that_stops_finishes_what_it_accepted(make: Make) -> None:
    place = await make(read_s=PATIENCE_S)
    gate = await hold(place)
    line = await place.line()
    await line.say(sized(ROWS, HELD))
    await gate.arrival()
    stopping = asyncio.create_task(place.server.stop())
    gate.open()
    assert (await line.answer())[:2] == (200, ANSWER)
    await stopping
    assert await line.ended() == b""


@pytest.mark.parametrize("body", [ROWS, LARGE], ids=["direct", "by ASGI"])
async def test_an_answer_that_comes_while_the_server_drains_asks_to_close(make: Make, body: bytes) -> None:
    place = await make(read_s=PATIENCE_S)
    gate = await hold(place)
    line = await place.line()
    await line.say(sized(body, HELD))
    await gate.arrival()
    place.draining = True
    gate.open()
    status, answer, head = await line.answer()
    assert (status, answer) == (200, ANSWER)
    assert head.count(b"connection: close") == 1
    assert await line.ended() == b""


async def test_what_was_asked_behind_an_answer_that_comes_while_the_server_drains_is_answered(make: Make) -> None:
    place = await make(read_s=PATIENCE_S)
    gate = await hold(place)
    line = await place.line()
    await line.say(sized(ROWS, HELD) + sized(ROWS))
    await gate.arrival()
    place.draining = True
    gate.open()
    first, second = await line.answer(), await line.answer()
    assert (first[:2], second[:2]) == ((200, ANSWER), (200, ANSWER))
    assert (b"connection: close" in first[2], b"connection: close" in second[2]) == (False, True)
    assert await line.ended() == b""


async def test_answers_that_nobody_reads_are_not_piled_up(make: Make) -> None:
    """Who sends on without reading is read from no further than the answers there is room for."""
    place = await make(read_s=PATIENCE_S)
    line: Line = await place.line()
    line.writer.transport.pause_reading()
    wide = b'{"instances": [%s]}' % b", ".join([b"[1, 2, 3]"] * 1000)
    await line.say(*[sized(wide)] * 50)
    line.writer.transport.resume_reading()
    assert [(await line.answer())[0] for _ in range(50)] == [200] * 50


async def test_addresses_are_forgotten_before_they_are_too_many(make: Make) -> None:
    door = (await make()).door
    first = door.direct(b"/v1/models/m:predict")
    assert first is not None
    assert door.direct(b"/v1/models/m:predict") is first
    for number in range(20_000):
        assert door.direct(b"/v1/models/m%d:predict" % number) is not None
    assert door.direct(b"/v1/models/m:predict") is not first
    long = b"/v1/models/%s:predict" % (b"m" * 250)
    assert door.direct(long) is not door.direct(long), "what many of would fill the memory is not remembered"
    for other in (
        b"/v1/models/m",
        b"/v1/models/m:tune",
        b"/v1/models/m/versions/99999999999999999999:predict",
        b"/",
        b"",
    ):
        assert door.direct(other) is None
