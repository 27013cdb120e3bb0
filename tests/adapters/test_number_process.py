"""Large bodies of numbers read in a process beside this one: as they are read here, whatever becomes of the process."""

from __future__ import annotations

import asyncio
import json
import logging
import mmap
import os
import signal
import sys
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from serving_fakes import Bench, scaling_model, signature, spec

from service.adapters.rest import number_program, plain_numbers
from service.adapters.rest.app import RestApplication, api
from service.adapters.rest.number_process import NumberProcess
from service.adapters.rest.number_program import LARGEST, MEMORY
from service.adapters.rest.tfserving import TfServingDoor
from service.domain.tensors import NUMPY_TYPES, Array, Signature

ONE = signature([spec("x", None)], [])
OF_EVERY_TYPE = [signature([spec("x", None, dtype)], []) for dtype in NUMPY_TYPES]
LARGE = json.dumps({"instances": [[0.5, -1.25, 3e-7]] * 30_000}).encode()


@pytest.fixture
def reader() -> Iterator[NumberProcess]:
    made = NumberProcess()
    yield made
    made.close()


def wait_until_it_reads(reader: NumberProcess) -> int:
    """Have large bodies read until the process does it; its id."""
    while not reader._ready:
        assert reader.read(LARGE) is not None
        assert reader._possible
    assert reader._process is not None
    return reader._process.pid


def through_memory(body: bytes) -> plain_numbers.NumberRequest | None:
    """What the program makes of a body, without a process."""
    with mmap.mmap(-1, MEMORY) as memory:
        memory[: len(body)] = body
        return number_program.found(number_program.answer(memory, len(body)), memory)


def decoded(request: plain_numbers.NumberRequest | None, to: Signature) -> Any:
    tensors = request.decode(to) if request is not None else None
    if request is None or tensors is None:
        return None
    said: dict[str, tuple[str, tuple[int, ...], bytes]] = {a: _all_of(one) for a, one in tensors.items()}
    return said, request.signature_name, request.heads, request.in_rows


def _all_of(array: Array) -> tuple[str, tuple[int, ...], bytes]:
    return array.dtype.str, array.shape, array.tobytes()


# --- The same numbers -------------------------------------------------------------------------------------------------

numbers = st.one_of(
    st.integers(-3, 300),
    st.sampled_from([2**31, -(2**31) - 1, 2**53 + 1, 2**63 - 1, -(2**63), 2**63, 2**64 - 1]),
    st.floats(allow_nan=False, allow_infinity=False),
    st.just(-0.0),
)
odd = st.sampled_from([None, True, "1", [], [1], {"b64": "AA=="}])


@given(
    st.lists(st.lists(numbers, min_size=2, max_size=2), max_size=4),
    st.none() | odd,
    st.sampled_from(OF_EVERY_TYPE),
    st.sampled_from(["instances", "inputs", "other"]),
)
@example([[2**63, 1]], None, OF_EVERY_TYPE[0], "instances")
def test_what_is_read_through_memory_is_what_is_read_here(rows: Any, last: Any, to: Signature, key: str) -> None:
    body = json.dumps({"signature_name": "s", key: rows if last is None else [*rows, last]}).encode()
    assert decoded(through_memory(body), to) == decoded(plain_numbers.read(body), to)


@pytest.mark.parametrize("name", sorted(name for name, dtype in NUMPY_TYPES.items() if dtype.kind in "fiu"))
@pytest.mark.parametrize("row", ["[1, 2]", "[-1, 2]", "[18446744073709551615, 2]", "[9007199254740993, 0]", "[1.5, 2]"])
def test_every_type_takes_the_numbers_it_takes_here(name: str, row: str) -> None:
    to, body = signature([spec("x", None, name)], []), f'{{"instances": [{row}]}}'.encode()
    assert decoded(through_memory(body), to) == decoded(plain_numbers.read(body), to)


def test_named_tensors_and_heads_are_kept_apart() -> None:
    two = signature([spec("a", None), spec("b", None, "DT_INT32")], [])
    for body in (
        b'{"heads": ["one", "two@3"], "instances": [{"a": 1, "b": 2}, {"a": 3.5, "b": 4}]}',
        b'{"inputs": {"a": [[1.5]], "b": [1, 2, 3]}, "signature_name": "other"}',
    ):
        assert decoded(through_memory(body), two) == decoded(plain_numbers.read(body), two) is not None


def test_as_many_numbers_as_the_largest_body_has_fit_into_the_memory() -> None:
    body = b'{"instances":[' + b"1," * ((LARGEST - 17) // 2) + b"1]}"
    assert LARGEST - 2 < len(body) <= LARGEST
    request = through_memory(body)
    assert request is not None
    tensors = request.decode(ONE)
    assert tensors is not None
    assert tensors["x"].sum(dtype=np.float64) == tensors["x"].size == (LARGEST - 17) // 2 + 1


def test_names_too_many_to_say_are_left_to_the_careful_reader() -> None:
    assert through_memory(json.dumps({"inputs": {f"n{n}": [1] for n in range(5_000)}}).encode()) is None


# --- The process ------------------------------------------------------------------------------------------------------


@pytest.mark.e2e
def test_the_process_reads_and_what_is_more_than_numbers_is_left(reader: NumberProcess) -> None:
    wait_until_it_reads(reader)
    for body in (LARGE, LARGE.replace(b"0.5", b"7"), LARGE.replace(b"instances", b"inputs")):
        assert decoded(reader.read(body), ONE) == decoded(plain_numbers.read(body), ONE) is not None
    for broken in (LARGE[:-1], LARGE.replace(b"0.5", b"nul"), LARGE[:-4] + b",1]]}", b"\xff" * len(LARGE)):
        assert reader.read(broken) is None
    assert decoded(reader.read(LARGE), ONE) is not None


@pytest.mark.e2e
def test_what_is_small_or_too_large_is_read_here(reader: NumberProcess) -> None:
    assert reader.read(b'{"instances": [1]}') is not None
    assert reader.read(b'{"instances": [' + b" " * LARGEST + b"1]}") is not None
    assert reader._process is None


@pytest.mark.e2e
def test_another_process_comes_for_one_that_was_killed(reader: NumberProcess, caplog: pytest.LogCaptureFixture) -> None:
    first = wait_until_it_reads(reader)
    os.kill(first, signal.SIGKILL)
    with caplog.at_level(logging.WARNING):
        assert reader.read(LARGE) is None  # for the careful reader, which no body can end
    assert "another one is started" in caplog.text
    assert wait_until_it_reads(reader) != first
    assert decoded(reader.read(LARGE), ONE) == decoded(plain_numbers.read(LARGE), ONE)


@pytest.mark.e2e
def test_a_process_that_does_not_answer_is_replaced() -> None:
    reader = NumberProcess(longest_s=0.05)
    first = wait_until_it_reads(reader)
    os.kill(first, signal.SIGSTOP)
    assert reader.read(LARGE) is None
    assert reader._process is None
    reader.close()


@pytest.mark.e2e
@pytest.mark.parametrize("command", [[sys.executable, "-c", "pass"], ["/nowhere/at/all"]])
def test_where_there_can_be_no_process_numbers_are_read_here(
    command: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    reader = NumberProcess(command)
    with caplog.at_level(logging.WARNING):
        while reader._possible:
            assert decoded(reader.read(LARGE), ONE) is not None
    assert "without a process of their own" in caplog.text
    assert decoded(reader.read(LARGE), ONE) is not None
    reader.close()


@pytest.mark.e2e
def test_nothing_is_left_of_it_when_it_is_closed(reader: NumberProcess) -> None:
    first = wait_until_it_reads(reader)
    reader.close()
    with pytest.raises(ProcessLookupError):
        os.kill(first, 0)
    assert decoded(reader.read(LARGE), ONE) is not None
    assert reader._process is None


@pytest.mark.e2e
def test_the_process_ends_when_nobody_is_there_to_ask(reader: NumberProcess) -> None:
    wait_until_it_reads(reader)
    assert reader._words is not None
    assert reader._process is not None
    reader._words.close()
    assert reader._process.wait(timeout=30) == 0


@pytest.mark.e2e
async def test_the_door_answers_the_same_before_it_is_there_and_after(reader: NumberProcess) -> None:
    bench = Bench()
    bench.publish("m", 3, scaling_model(2))
    await bench.look()
    door = TfServingDoor(
        bench.predictor, bench.models, timeout_s=20, max_body_bytes=len(LARGE) + 1, numbers=reader.read
    )
    app = RestApplication(door, api([]), lambda: False)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://graft") as client:
        said = []
        for body in (LARGE, LARGE, LARGE[:-1], LARGE.replace(b"-1.25", b"false")):
            answer = await client.post("/v1/models/m:predict", content=body)
            said.append((answer.status_code, answer.content))
            if len(said) == 1:
                await asyncio.to_thread(wait_until_it_reads, reader)
    await bench.close()
    assert [status for status, _ in said] == [200, 200, 400, 400]
    assert said[0] == said[1]
    assert b"JSON Parse error" in said[2][1]
