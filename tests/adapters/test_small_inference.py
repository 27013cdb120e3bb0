"""Where too much waits, small requests are refused before they are read; where there is room, nothing is different."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from raw_http import ANSWER, NOBODY, PATIENCE_S, POST, ROWS, Make, places, sized
from serving_fakes import Gate, scaling_model

from service.adapters.rest.asgi import Headers
from service.adapters.rest.reply import Reply
from service.adapters.rest.small_inference import SmallInference
from service.domain.batches import BatchLimits
from service.domain.versions import ModelRef

HELD = POST.replace(b"models/m:", b"models/held:")
UNREADABLE = b"no JSON"
FULL = Reply(503, [], b"full")


class Door:
    """Answers, or refuses everything as full."""

    def __init__(self) -> None:
        self.full, self.read, self.asked_for_room = False, 0, 0

    async def answer(self, headers: Headers, body: bytes, crowded: Callable[[], None]) -> Reply:
        self.read += 1
        if self.full:
            crowded()
            return FULL
        return Reply(200, [], body)

    def refusal(self) -> Reply | None:
        self.asked_for_room += 1
        return FULL if self.full else None


async def reply_to(inference: SmallInference, body: bytes) -> Reply:
    answer = inference([], body)
    return answer if isinstance(answer, Reply) else await answer


async def test_who_comes_after_one_that_was_refused_is_refused_unread() -> None:
    door = Door()
    door.full = True
    inference = SmallInference(door.answer, door.refusal)
    assert [await reply_to(inference, ROWS) for _ in range(3)] == [FULL] * 3
    assert (door.read, door.asked_for_room) == (1, 2)


async def test_where_there_is_room_again_nobody_is_asked_for_it_any_more() -> None:
    door = Door()
    door.full = True
    inference = SmallInference(door.answer, door.refusal)
    await reply_to(inference, ROWS)
    door.full = False
    assert [(await reply_to(inference, ROWS)).status for _ in range(3)] == [200] * 3
    assert (door.read, door.asked_for_room) == (4, 1)


@pytest.mark.parametrize(
    "body",
    [
        b'{"signature_name": "other", "instances": [1]}',
        b'{"signature_\\u006eame": "other", "instances": [1]}',
        b'{"heads": ["birds"], "instances": [1]}',
    ],
    ids=["another signature", "in other letters", "heads"],
)
async def test_what_may_ask_for_another_queue_is_read(body: bytes) -> None:
    door = Door()
    door.full = True
    inference = SmallInference(door.answer, door.refusal)
    await reply_to(inference, ROWS)
    await reply_to(inference, body)
    assert (door.read, door.asked_for_room) == (2, 0)


# --- Over the wire ----------------------------------------------------------------------------------------------------


@pytest.fixture
async def make() -> AsyncIterator[Callable[..., object]]:
    """Makes places."""
    async with places() as one:
        yield one


async def test_a_full_model_refuses_unread_until_it_has_room(make: Make) -> None:
    place: Any = await make(read_s=PATIENCE_S, batches=BatchLimits(max_rows=1, max_waiting_rows=1))
    model = scaling_model(2)
    place.bench.publish("held", 1, model)
    await place.bench.look()
    gate = model.run_gate = Gate()
    online, waiting = place.bench.models.find(ModelRef("held")), [await place.line() for _ in range(3)]
    for number, one in enumerate(waiting, 1):  # two run, and the third fills the queue
        await one.say(sized(ROWS, HELD))
        await place.bench.until(lambda number=number: online.pins == number)
    line = await place.line()
    for body in (ROWS, UNREADABLE):
        await line.say(sized(body, HELD))
        status, said, head = await line.answer()
        assert (status, b"retry-after: 1" in head, b"application/json" in head) == (503, True, True)
        assert "max_enqueued_batches is 1" in str(said["error"])
    assert [event[-1] for event in place.bench.observer.events if event[0] == "answered"] == ["Overloaded"] * 2

    await line.say(sized(b'{"signature_name": "none", "instances": [[1, 2, 3]]}', HELD))
    assert (await line.answer())[0] == 400
    await line.say(sized(UNREADABLE, HELD), sized(ROWS, NOBODY), sized(UNREADABLE, HELD + b"Connection: close\r\n"))
    assert [(await line.answer())[0] for _ in range(3)] == [503, 404, 503]
    assert await line.ended() == b""

    hasty, asked = await place.line(), len(place.bench.observer.named("began"))
    await hasty.say(sized(UNREADABLE, HELD))
    assert (await hasty.answer())[0] == 503
    hasty.writer.write_eof()  # nobody is left to answer, and nothing begins a second time for the request before
    assert await hasty.ended() == b""
    assert len(place.bench.observer.named("began")) == asked + 1

    gate.open()
    assert [(await one.answer())[:2] for one in waiting] == [(200, ANSWER)] * 3
    await waiting[0].say(sized(UNREADABLE, HELD), sized(ROWS, HELD))
    assert [(await waiting[0].answer())[0] for _ in range(2)] == [400, 200]
    assert online.pins == 0
