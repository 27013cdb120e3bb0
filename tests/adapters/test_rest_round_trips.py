"""JSON that the contract accepts is answered as TensorFlow itself answers, through the real engine. All else that is
posted, byte by byte or as a bomb, is a 4xx with an error in JSON, soon and in little memory.
"""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import math
import threading
import time
import tracemalloc
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from serving_fakes import FakeClock, RecordingObserver

from service.adapters.engines.tensorflow_engine import TensorFlowEngine
from service.adapters.rest.app import RestApplication, api
from service.adapters.rest.tfserving import TfServingDoor
from service.application.graphs import SharedGraphs
from service.application.lanes import Lanes
from service.application.loading import Loader
from service.application.models import Models
from service.application.predict import Predictor
from service.domain.batches import BatchLimits
from service.domain.tensors import NUMPY_TYPES, Array

MOST_BYTES = 400_000
NUMBERS = sorted(name for name, dtype in NUMPY_TYPES.items() if dtype.kind in "fiub")
BOMB_S, BOMB_BYTES = 10.0, 60e6


def identities(directory: Path) -> None:
    """A signature for each type, which answers what it is given; ``pair`` does so with two."""
    import tensorflow as tf

    module = tf.Module()
    signatures = {}
    for name in [*NUMBERS, "DT_STRING"]:
        dtype = tf.as_dtype(name.removeprefix("DT_").lower())
        given = tf.TensorSpec(None, dtype, "x")
        signatures[name] = tf.function(lambda x: {"y_bytes": tf.identity(x)}, input_signature=[given])
    signatures["text"] = tf.function(
        lambda x: {"y": tf.identity(x)}, input_signature=[tf.TensorSpec(None, tf.string, "x")]
    )
    signatures["pair"] = tf.function(
        lambda a, b: {"first": tf.identity(a), "second": tf.identity(b)},
        input_signature=[tf.TensorSpec(None, tf.float32, "a"), tf.TensorSpec(None, tf.int32, "b")],
    )
    tf.saved_model.save(module, str(directory), signatures)


class Place:
    """The real application objects over one SavedModel, on an event loop of its own, for tests that are not async."""

    def __init__(self, repository: Path) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.run(self._open(repository))

    async def _open(self, directory: Path) -> None:
        from service.adapters.repositories import DirectoryRepository

        repository, engine, observer = DirectoryRepository(directory), TensorFlowEngine(), RecordingObserver()
        self.lanes, limits = Lanes(1), BatchLimits()
        graphs = SharedGraphs(engine, self.lanes, limits, observer)
        self.models = Models(repository, Loader(repository, engine, graphs, limits), observer, FakeClock())
        await self.models.look()
        await self.models.settle()
        door = TfServingDoor(Predictor(self.models, observer), self.models, timeout_s=60, max_body_bytes=MOST_BYTES)
        self.app = RestApplication(door, api([]), lambda: False)
        self.client = httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url="http://graft", timeout=60)

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(120)

    def post(self, body: bytes, verb: str = "predict", **headers: str) -> httpx.Response:
        return self.run(self.client.post(f"/v1/models/m:{verb}", content=body, headers=headers))  # type: ignore[no-any-return]

    def answer(self, body: Any) -> Any:
        """What is answered, which must be a success."""
        response = self.post(body if isinstance(body, bytes) else json.dumps(body).encode())
        assert response.status_code == 200, response.text
        return json.loads(response.content)

    def close(self) -> None:
        self.run(self.client.aclose())
        self.run(self.models.close())
        self.lanes.close()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    directory = tmp_path_factory.mktemp("repository")
    identities(directory / "m" / "1")
    made = Place(directory)
    assert [str(one.state) for one in made.models.status("m")] == ["live"], made.models.status("m")
    yield made
    made.close()


def arrays(dtype: str, least_dims: int = 0) -> st.SearchStrategy[Array]:
    return hnp.arrays(NUMPY_TYPES[dtype], hnp.array_shapes(min_dims=least_dims, max_dims=4, min_side=1, max_side=4))


def same(got: Any, expected: Array) -> None:
    back = np.array(got, expected.dtype)
    assert back.shape == expected.shape
    np.testing.assert_array_equal(back, expected)


@settings(deadline=None, max_examples=150)
@given(st.data(), st.sampled_from(NUMBERS))
def test_numbers_are_answered_as_tensorflow_answers(place: Place, data: st.DataObject, dtype: str) -> None:
    array = data.draw(arrays(dtype, least_dims=1))
    signature = {"signature_name": dtype}
    padding = " " * data.draw(st.sampled_from([0, 3000]))
    for form, key in (("instances", "predictions"), ("inputs", "outputs")):
        for value in (
            array.tolist(),
            {"x": array.tolist()} if form == "inputs" else [{"x": row} for row in array.tolist()],
        ):
            body = json.dumps({**signature, form: value}) + padding
            same(place.answer(body.encode())[key], array)


@settings(deadline=None, max_examples=40)
@given(st.data(), st.sampled_from(NUMBERS))
def test_a_number_alone_is_a_column(place: Place, data: st.DataObject, dtype: str) -> None:
    array = data.draw(hnp.arrays(NUMPY_TYPES[dtype], ()))
    same(place.answer({"signature_name": dtype, "inputs": array.item()})["outputs"], array)


@settings(deadline=None, max_examples=100)
@given(st.floats(), st.sampled_from(["DT_FLOAT", "DT_DOUBLE", "DT_HALF"]))
def test_any_float_is_rounded_to_the_nearest_of_its_type(place: Place, value: float, dtype: str) -> None:
    got = place.answer({"signature_name": dtype, "instances": [value]})["predictions"][0]
    with np.errstate(over="ignore"):
        same(NUMPY_TYPES[dtype].type(got), np.array(value).astype(NUMPY_TYPES[dtype]))


@settings(deadline=None, max_examples=100)
@given(hnp.arrays(object, hnp.array_shapes(min_dims=1, max_dims=3, max_side=3), elements=st.binary(max_size=6)))
def test_bytes_are_answered_as_they_were_given(place: Place, array: Array) -> None:
    def coded(value: Any) -> Any:
        return [coded(one) for one in value] if isinstance(value, list) else {"b64": base64.b64encode(value).decode()}

    said = coded(array.tolist())
    assert place.answer({"signature_name": "DT_STRING", "instances": said}) == {"predictions": said}
    assert place.answer({"signature_name": "DT_STRING", "inputs": said}) == {"outputs": said}


@settings(deadline=None, max_examples=100)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=6), min_size=1, max_size=4))
def test_text_is_answered_as_it_was_given(place: Place, texts: list[str]) -> None:
    assert place.answer({"signature_name": "text", "instances": texts}) == {"predictions": texts}
    assert place.answer({"signature_name": "text", "inputs": texts[0]}) == {"outputs": texts[0]}


@settings(deadline=None, max_examples=50)
@given(st.data(), st.integers(1, 4))
def test_several_inputs_stay_apart(place: Place, data: st.DataObject, rows: int) -> None:
    a = data.draw(hnp.arrays(np.float32, (rows, 2)))
    b = data.draw(hnp.arrays(np.int32, (rows,)))
    said = [{"a": one, "b": other} for one, other in zip(a.tolist(), b.tolist(), strict=True)]
    answer = place.answer({"signature_name": "pair", "instances": said})["predictions"]
    same([row["first"] for row in answer], a)
    same([row["second"] for row in answer], b)
    answer = place.answer({"signature_name": "pair", "inputs": {"a": a.tolist(), "b": b.tolist()}})["outputs"]
    same(answer["first"], a)
    same(answer["second"], b)


@pytest.mark.parametrize(
    ("text", "value"),
    [("NaN", math.nan), ("Infinity", math.inf), ("-Infinity", -math.inf), ("Inf", math.inf), ("-Inf", -math.inf)],
)
def test_the_words_for_numbers_that_are_none_are_read(place: Place, text: str, value: float) -> None:
    body = f'{{"signature_name": "DT_FLOAT", "instances": [1.5, {text}]}}'
    same(place.answer(body.encode())["predictions"], np.array([1.5, value], np.float32))


def test_an_infinity_in_a_text_stays_text(place: Place) -> None:
    body = b'{"signature_name": "text", "instances": ["Inf -Inf \\" Inf"], "ignored": [Inf, -Inf, Infinity]}'
    assert place.answer(body) == {"predictions": ['Inf -Inf " Inf']}


# --- Whatever else is posted ------------------------------------------------------------------------------------------


def refused(response: httpx.Response) -> str:
    assert 400 <= response.status_code < 500, (response.status_code, response.text[:500])
    assert response.headers["content-type"] == "application/json"
    answer = response.json()
    assert answer.keys() == {"error"}
    assert isinstance(answer["error"], str)
    assert answer["error"]
    return answer["error"]


def answered_or_refused(response: httpx.Response) -> None:
    if response.status_code == 200:
        json.loads(response.content)
    else:
        refused(response)


VERBS = st.sampled_from(["predict", "classify", "regress"])
SIGNATURES = st.sampled_from([*NUMBERS, "DT_STRING", "text", "pair", "serving_default", ""])


@settings(deadline=None, max_examples=400)
@given(st.binary(max_size=200), VERBS, st.sampled_from(["", "gzip"]))
def test_any_bytes_are_refused(place: Place, body: bytes, verb: str, coding: str) -> None:
    refused(place.post(body, verb, **{"content-encoding": coding}))


@settings(deadline=None, max_examples=300)
@given(st.binary(max_size=100), VERBS, st.integers(0, 200), st.binary(max_size=3))
def test_any_damage_to_gzip_is_refused_or_harmless(place: Place, body: bytes, verb: str, at: int, put: bytes) -> None:
    packed = gzip.compress(body + b'{"instances": [1]}')
    answered_or_refused(place.post(packed[:at] + put + packed[at + len(put) :], verb, **{"content-encoding": "gzip"}))


JSON_TEXT = st.recursive(
    st.sampled_from(
        ["null", "true", "false", "NaN", "-Inf", "1e999", "-1e999", "9" * 400, "1." + "0" * 400 + "1", "0x1"]
    )
    | st.integers().map(str)
    | st.floats().map(json.dumps)
    | st.text(st.characters(), max_size=4).map(json.dumps)
    | st.sampled_from(
        ['"\\ud800"', '"\\udc00\\ud800"', '"\\u0000"', '"\\x"', '"\x01"', '{"b64": "A"}', '{"b64": "AAAA"}']
    ),
    lambda inner: (
        st.lists(inner, max_size=4).map(lambda parts: "[" + ",".join(parts) + "]")
        | st.lists(st.tuples(st.sampled_from(["x", "a", "b", "b64"]), inner), max_size=3).map(
            lambda pairs: "{" + ",".join(f'"{name}": {value}' for name, value in pairs) + "}"
        )
    ),
    max_leaves=10,
)
ENDS = st.sampled_from(["", " " * 3000, "}", "\0"])
KEYS = st.sampled_from(["instances", "inputs", "examples", "context", "signature_name", "else"])


@settings(deadline=None, max_examples=300)
@given(
    st.lists(st.tuples(KEYS, JSON_TEXT), max_size=4), SIGNATURES, VERBS, st.sampled_from(["", " " * 3000, "}", "\0"])
)
def test_any_json_is_answered_or_refused(
    place: Place, parts: list[tuple[str, str]], signature: str, verb: str, end: str
) -> None:
    named = [("signature_name", json.dumps(signature)), *parts]
    body = "{" + ",".join(f'"{key}": {value}' for key, value in named) + "}" + end
    answered_or_refused(place.post(body.encode(errors="replace"), verb))


FULL = MOST_BYTES - 100


def nested(opening: str, closing: str, around: str = "") -> bytes:
    depth = FULL // (len(opening) + len(closing))
    return f'{{"instances": {opening * depth}{around}{closing * depth}}}'.encode()


BOMBS = {
    "lists in lists": nested("[", "]"),
    "lists in lists around a number": nested("[", "]", "1"),
    "lists never closed": b'{"instances": ' + b"[" * FULL,
    "lists never opened": b'{"instances": ' + b"]" * FULL,
    "objects in objects": nested('{"x":', "}", "1"),
    "objects never closed": b'{"x":' * (FULL // 5),
    "lists and objects in turn": nested('[{"x":', "}]", "1"),
    "empty lists": b'{"instances": [' + b",".join([b"[]"] * (FULL // 3)) + b", 1]}",
    "empty objects": b'{"instances": [' + b",".join([b"{}"] * (FULL // 3)) + b"]}",
    "a number without end": b'{"instances": [' + b"9" * FULL + b"]}",
    "a fraction without end": b'{"instances": [0.' + b"9" * FULL + b"e]}",
    "an exponent without end": b'{"instances": [1e' + b"9" * FULL + b"x]}",
    "many huge numbers": b'{"instances": [' + b",".join([b"1e999"] * (FULL // 6)) + b", []]}",
    "a string never closed": b'{"instances": ["' + b"a" * FULL,
    "backslashes": b'{"instances": ["' + b"\\" * FULL,
    "quotes": b'"' * FULL,
    "commas": b'{"instances": [' + b"," * FULL + b"]}",
    "colons": b":" * FULL,
    "blanks": b" " * FULL,
    "zeros": b"\0" * FULL,
    "infinities": b'{"instances": [' + b",".join([b"-Inf"] * (FULL // 5)) + b", []]}",
    "not quite infinities": b'{"instances": [' + b'Inf\\"' * (FULL // 5),
    "keys": b"{" + b",".join([b'"instances": 1'] * (FULL // 15)) + b"}",
    "many names": b'{"instances": [{' + b",".join(b'"%d":1' % n for n in range(FULL // 12)) + b"}]}",
    "one long row": b'{"instances": [[' + b",".join([b"1"] * (FULL // 3)) + b"]" + b",1" * 100 + b"]}",
    "long base64": b'{"signature_name": "DT_STRING", "instances": [{"b64": "' + b"A" * FULL + b'!"}]}',
    "no UTF-8": b'{"instances": "' + b"\xff" * FULL + b'"}',
    "half characters": b'{"instances": "' + b"\\ud800" * (FULL // 6) + b'"}',
    "UTF-16": ('{"instances": [' + "1," * (FULL // 6) + "1]}").encode("utf-16"),
}


@pytest.mark.parametrize("verb", ["predict", "classify"])
@pytest.mark.parametrize("bomb", BOMBS)
def test_a_bomb_is_refused_soon_and_in_little_memory(place: Place, bomb: str, verb: str) -> None:
    body = BOMBS[bomb]
    assert len(body) <= MOST_BYTES
    if b"signature_name" not in body:
        body = body.replace(b"{", b'{"signature_name": "DT_FLOAT", ', 1)[:MOST_BYTES]
    for coding, content in (("", body), ("gzip", gzip.compress(body))):
        tracemalloc.start()
        began = time.process_time()
        try:
            refused(place.post(content, verb, **{"content-encoding": coding}))
            assert tracemalloc.get_traced_memory()[1] < BOMB_BYTES
        finally:
            tracemalloc.stop()
        assert time.process_time() - began < BOMB_S


@pytest.mark.parametrize("size", [10_000_000, 1_000_000_000])
def test_a_gzip_bomb_is_refused_soon_and_in_little_memory(place: Place, size: int) -> None:
    zeros = gzip.compress(b"\0" * 10_000_000)
    tracemalloc.start()
    try:
        response = place.post(zeros * (size // 10_000_000), **{"content-encoding": "gzip"})
        assert tracemalloc.get_traced_memory()[1] < BOMB_BYTES
    finally:
        tracemalloc.stop()
    assert (response.status_code, str(MOST_BYTES) in refused(response)) == (413, True)


def test_of_two_equal_keys_the_first_counts(place: Place) -> None:
    body = b'{"signature_name": "DT_FLOAT", "signature_name": "text", "instances": [1], "instances": ["a"]}'
    assert place.answer(body) == {"predictions": [1.0]}
    assert place.answer(b'{"signature_name": "DT_FLOAT", "inputs": {"x": [1]}, "inputs": 2}') == {"outputs": [1.0]}
    refused(place.post(b'{"signature_name": 5, "signature_name": "DT_FLOAT", "instances": [1]}'))
