"""One request from beginning to end, as every door runs it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest
from serving_fakes import Bench, Gate, scaling_model

from service.domain.errors import DeadlineExceeded, InvalidInput, ModelNotFound, SignatureNotFound, UnknownLabel
from service.domain.versions import ModelRef, VersionId

ROW = {"x": np.ones((1, 3), np.float32)}


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    made = Bench()
    made.model = scaling_model()  # type: ignore[attr-defined]
    made.publish("m", 7, made.model)  # type: ignore[attr-defined]
    await made.look()
    made.observer.events.clear()
    yield made
    await made.close()


def told(bench: Bench) -> list[tuple[Any, ...]]:
    return bench.observer.named("answered")


async def test_a_call_names_its_version_and_signature_and_gives_the_answer(bench: Bench) -> None:
    with bench.predictor.call(ModelRef("m"), "", "rest") as call:
        assert call.version == VersionId("m", 7)
        assert call.signature_name == "serving_default"
        assert call.signature.inputs.keys() == {"x"}
        assert (await call.run(ROW))["y"].tolist() == [[3, 3, 3]]
    assert told(bench) == [("answered", "m", 7, "serving_default", "rest", "ok")]
    assert bench.observer.count("began") == 1


@pytest.mark.parametrize(
    ("ref", "signature", "error", "event"),
    [
        (ModelRef("n"), "", ModelNotFound, ("answered", "n", None, "serving_default", "rest", "ModelNotFound")),
        (ModelRef("m", 8), "", ModelNotFound, ("answered", "m", None, "serving_default", "rest", "ModelNotFound")),
        (
            ModelRef("m", label="x"),
            "",
            UnknownLabel,
            ("answered", "m", None, "serving_default", "rest", "UnknownLabel"),
        ),
        (ModelRef("m"), "s", SignatureNotFound, ("answered", "m", 7, "s", "rest", "SignatureNotFound")),
    ],
)
async def test_what_is_not_there_is_told_by_the_kind_of_the_error(
    bench: Bench, ref: ModelRef, signature: str, error: type[Exception], event: tuple[Any, ...]
) -> None:
    with pytest.raises(error), bench.predictor.call(ref, signature, "rest"):
        raise AssertionError("there is no call")
    assert told(bench) == [event]


async def test_an_error_while_the_version_is_held_is_told_and_lets_it_go(bench: Bench) -> None:
    for error, outcome in ((InvalidInput("no"), "InvalidInput"), (KeyError("a bug"), "Unexpected")):
        with pytest.raises(type(error)), bench.predictor.call(ModelRef("m"), "", "grpc"):
            raise error
        assert told(bench)[-1] == ("answered", "m", 7, "serving_default", "grpc", outcome)
    assert bench.models.find(ModelRef("m")).pins == 0


async def test_a_deadline_ends_the_wait_and_lets_the_version_go(bench: Bench) -> None:
    gate = bench.model.run_gate = Gate()  # type: ignore[attr-defined]
    with (
        pytest.raises(DeadlineExceeded, match=r"no answer within 0\.01 s"),
        bench.predictor.call(ModelRef("m"), "", "rest") as call,
    ):
        await call.run(ROW, 0.01)
    assert bench.models.find(ModelRef("m")).pins == 0
    assert told(bench)[0][-1] == "DeadlineExceeded"
    gate.open()


@pytest.mark.parametrize("timeout_s", [0, -1.5])
async def test_a_deadline_that_has_passed_already_is_one_too(bench: Bench, timeout_s: float) -> None:
    with pytest.raises(DeadlineExceeded), bench.predictor.call(ModelRef("m"), "", "grpc") as call:
        await call.run(ROW, timeout_s)


async def test_a_client_that_leaves_is_told_as_such(bench: Bench) -> None:
    gate = bench.model.run_gate = Gate()  # type: ignore[attr-defined]

    async def request() -> None:
        with bench.predictor.call(ModelRef("m"), "", "rest") as call:
            await call.run(ROW)

    client = asyncio.create_task(request())
    await gate.arrival()
    assert bench.models.find(ModelRef("m")).pins == 1
    client.cancel()
    await asyncio.gather(client, return_exceptions=True)
    assert told(bench)[0][-1] == "Cancelled"
    assert bench.models.find(ModelRef("m")).pins == 0
    gate.open()
