"""The pipe between the programs: what is written is read back, and what else is printed is not taken for it."""

import json

import numpy as np
import pytest

from service.domain.progress import Failed, Finished, PhaseProgress, Warned, from_line, to_line

EVENTS = [
    PhaseProgress("features", "12 of 40 é\n", 3.5, 12, 40, 7.25),
    PhaseProgress("validate", "", 0, 0, 0, None),
    Warned("two are alike", {"items": [1, 2]}),
    Finished("flowers", 3, {"accuracy": 0.9}, {"verdict": "passed"}, {"l2": 1}, "good"),
    Finished("flowers", None, {}, {}, {}, ""),
    Failed("bad", "why", {"a": None}),
]


@pytest.mark.parametrize("event", EVENTS)
def test_an_event_is_one_line_and_comes_back_the_same(event: PhaseProgress | Warned | Finished | Failed) -> None:
    line = to_line(event)
    assert "\n" not in line
    assert from_line(line) == event


def test_numpy_numbers_are_written_as_what_they_are() -> None:
    event = PhaseProgress("p", "", np.float32(0.5), np.int64(3), np.int32(4), np.float64(1.5))  # type: ignore[arg-type]
    assert from_line(to_line(event)) == PhaseProgress("p", "", 0.5, 3, 4, 1.5)


def test_numbers_that_json_does_not_know_are_read_as_none() -> None:
    line = to_line(Finished("m", 1, {"a": float("nan"), "b": [float("inf")]}, {}, {}, ""))
    event = from_line(line.replace('"version":1', '"version":1,"gate":{"c":1e999}').replace('"gate":{},', "", 1))
    assert event is not None
    assert isinstance(event, Finished)
    assert event.metrics == {"a": None, "b": [None]}
    json.dumps([event.metrics, event.gate], allow_nan=False)


def test_halves_of_characters_are_read_as_question_marks() -> None:
    event = from_line(to_line(Warned("bad name \udcff", {"\ud83d": ["\ud83d\ude00 é"]})))
    assert event == Warned("bad name ?", {"?": ["😀 é"]})


@pytest.mark.parametrize(
    "line",
    [
        "",
        "Epoch 1/10",
        "{",
        "[]",
        "null",
        "7",
        '{"event":"progress"}',
        '{"event":"nothing","message":"x"}',
        '{"event":["progress"]}',
        '{"event":"warning","message":"x","data":{},"more":1}',
        '{"event":"warning","message":7}',
        '{"event":"warning","message":"x","data":[1]}',
        '{"event":"progress","phase":1,"message":"","percent":0}',
        '{"event":"progress","phase":"p","message":"","percent":NaN}',
        '{"event":"progress","phase":"p","message":"","percent":"7"}',
        '{"event":"finished","model":"m","version":"3","metrics":{},"gate":{},"recipe":{},"headline":""}',
        '{"event":"finished","model":"m","version":3,"metrics":null,"gate":{},"recipe":{},"headline":""}',
        '{"event":"failed","code":null,"message":""}',
        "[" * 100_000,
    ],
)
def test_what_is_no_event_is_none(line: str) -> None:
    assert from_line(line) is None
