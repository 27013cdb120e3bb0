"""What the check hands over is read back as it was, and nothing else is believed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from service.domain.artifact import InputKind, InputSpec
from service.domain.errors import InvalidInput
from service.domain.sample import Sample, SampleWish

IMAGE = InputSpec(InputKind.IMAGE, (2, 3, 1), "image")
VECTOR = InputSpec(InputKind.VECTOR, (4,), columns=("a", "b", "c", "d"))
TOKENS = InputSpec(InputKind.TOKENS, (5,))
TEXT = InputSpec(InputKind.TEXT, ())


def texts(*values: bytes) -> np.ndarray:
    return np.array(values, dtype=object)


@pytest.mark.parametrize(
    ("spec", "inputs", "dtype"),
    [
        (IMAGE, np.arange(12, dtype=np.uint8).reshape(2, 2, 3, 1) * 23, "float32"),
        (IMAGE, np.arange(12, dtype=np.float32).reshape(2, 2, 3, 1) / 7, "float32"),
        (VECTOR, np.arange(8, dtype=np.float32).reshape(2, 4) / 3, "float32"),
        (TOKENS, np.arange(10, dtype=np.int32).reshape(2, 5), "int32"),
        (TEXT, texts(b"a line\nof text", "\u00e4\u20ac".encode()), "object"),
    ],
    ids=["pictures", "numbers-as-pictures", "vectors", "tokens", "texts"],
)
def test_there_and_back(spec: InputSpec, inputs: np.ndarray, dtype: str) -> None:
    read = Sample.from_bytes(Sample(("x", "\u00fc y"), inputs).to_bytes(), spec)
    assert read.labels == ("x", "\u00fc y")
    assert (str(read.inputs.dtype), read.inputs.tolist()) == (dtype, inputs.tolist())


def test_a_wish_goes_through_a_command_line() -> None:
    for spec in (IMAGE, VECTOR, TOKENS, TEXT):
        wish = SampleWish(Path("/a place/with spaces"), spec)
        assert SampleWish.from_json(wish.to_json()) == wish


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]\n",
        b"null\n",
        b"{" * 100_000,
        b'{"labels": ["x"], "shape": [1, 4], "type": "<f4"}\n' + bytes(15),
        b'{"labels": ["x"], "shape": [1, 4], "type": "<f4"}\n' + bytes(17),
        b'{"labels": ["x"], "shape": [1, 4], "type": "<f8"}\n' + bytes(32),
        b'{"labels": ["x"], "shape": [1, 4], "type": "O"}\n' + bytes(32),
        b'{"labels": ["x"], "shape": [2, 4], "type": "<f4"}\n' + bytes(32),
        b'{"labels": ["x", 1], "shape": [2, 4], "type": "<f4"}\n' + bytes(32),
        b'{"labels": ["x", "y"], "shape": [2, 2, 2], "type": "<f4"}\n' + bytes(32),
        b'{"labels": "xy", "shape": [2, 4], "type": ["<f4"]}\n' + bytes(32),
        b'{"labels": ["x"], "shape": [1, 4]}\n' + bytes(16),
    ],
    ids=range(13),
)
def test_what_is_no_sample_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidInput):
        Sample.from_bytes(data, VECTOR)


@pytest.mark.parametrize("line", [b'{"labels": ["x"], "shape": [1]}', b'{"labels": ["x"], "shape": [1], "texts": [3]}'])
def test_texts_that_are_none_are_refused(line: bytes) -> None:
    with pytest.raises(InvalidInput):
        Sample.from_bytes(line + b"\n", TEXT)


def test_more_texts_than_labels_are_refused() -> None:
    with pytest.raises(InvalidInput):
        Sample.from_bytes(b'{"labels": ["x"], "shape": [1], "texts": ["a", "b"]}\n', TEXT)
