"""A sample is what the base would have been given, of every class as much as there is room for."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from labelled_data import write_zip
from PIL import Image

from service.domain.artifact import InputKind, InputSpec
from service.domain.learning import LearningTask
from service.domain.sample import MOST_BYTES, Sample, SampleWish
from training.data.check import check
from training.data.sample import fitted, hand_over, most_items, spread_out
from training.export.graph import decode_images


def smooth(height: int, width: int, mode: str = "RGB") -> bytes:
    """A picture without edges: how its pixels are mixed makes little difference."""
    rows, columns = np.mgrid[:height, :width]
    channels = [rows * 200 / height, columns * 200 / width, (rows + columns) * 90 / (height + width)]
    file = io.BytesIO()
    Image.fromarray(np.stack(channels, axis=2).astype(np.uint8)).convert(mode).save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(16, 16), (40, 30), (7, 9), (100, 33), (33, 100), (16, 500), (1, 1)])
def test_images_are_fitted_as_the_base_fits_them(size: tuple[int, int], channels: int) -> None:
    spec = InputSpec(InputKind.IMAGE, (16, 16, channels))
    for mode in ("RGB", "L"):
        data = smooth(*size, mode)
        expected = decode_images(np.array([data], dtype=object), spec).numpy()[0]
        gaps = np.abs(fitted(data, spec) - expected)
        if size == (16, 16):
            assert gaps.max() <= (1 if mode == "RGB" and channels == 1 else 0)
        assert gaps.mean() < 1.0


def test_deep_greys_are_read_as_the_base_reads_them() -> None:
    deep = (np.arange(256, dtype=np.uint16) * 257).reshape(16, 16)
    file = io.BytesIO()
    Image.fromarray(deep).save(file, "PNG")
    spec = InputSpec(InputKind.IMAGE, (16, 16, 1))
    expected = decode_images(np.array([file.getvalue()], dtype=object), spec).numpy()[0]
    assert np.abs(fitted(file.getvalue(), spec) - expected).max() <= 1


def test_every_class_has_its_share() -> None:
    labels = ["a"] * 100 + ["b"] * 3 + ["c"] * 50
    items = spread_out(labels, 33)
    assert Counter(labels[item] for item in items) == {"a": 15, "b": 3, "c": 15}
    assert items == sorted(set(items))
    assert items[0] < 10
    assert max(item for item in items if labels[item] == "a") > 85, "from all over the class"
    assert spread_out(labels, 1000) == list(range(153))
    assert spread_out(["a", "b", "c"], 2) == [1, 2]


def test_it_is_bounded_in_bytes() -> None:
    for shape in ((96, 96, 3), (224, 224, 3), (4000, 4000, 3), (100_000, 1000, 3)):
        spec = InputSpec(InputKind.IMAGE, shape)
        assert most_items(spec) * spec.width <= MOST_BYTES


def test_the_check_hands_over_what_it_was_asked_for(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", [(f"{name}/{i}.png", smooth(8 + i, 9)) for name in "xy" for i in range(5)])
    wish = SampleWish(tmp_path / "sample", InputSpec(InputKind.IMAGE, (4, 4, 3)))
    # A process of its own, whose memory it bounds.
    command = [sys.executable, "-m", "training", "check", str(path), "--json", "--sample", wish.to_json()]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert json.loads(told)["items"] == 10
    sample = Sample.from_bytes(wish.into.read_bytes(), wish.spec)
    assert Counter(sample.labels) == {"x": 5, "y": 5}
    assert sample.inputs.shape == (10, 4, 4, 3)
    assert sample.inputs.max() > 20


def test_numbers_come_in_the_order_of_the_bases_columns(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("b,a,label\n1,2,x\n3,4,x\n5,6,y\n7,9,y\n")
    report, contents = check(path)
    assert contents is not None, report.faults
    wish = SampleWish(tmp_path / "sample", InputSpec(InputKind.VECTOR, (2,), columns=("a", "b")))
    hand_over(contents, wish)
    sample = Sample.from_bytes(wish.into.read_bytes(), wish.spec)
    assert sample.inputs.tolist() == [[2, 1], [4, 3], [6, 5], [9, 7]]


@pytest.mark.parametrize(
    ("task", "spec"),
    [
        (LearningTask.REGRESSION, InputSpec(InputKind.VECTOR, (2,))),
        (LearningTask.MULTICLASS, InputSpec(InputKind.VECTOR, (3,))),
        (LearningTask.MULTICLASS, InputSpec(InputKind.TEXT, ())),
        (LearningTask.MULTICLASS, InputSpec(InputKind.IMAGE, (2, 2, 1))),
    ],
)
def test_nothing_is_handed_over_that_no_head_of_class_means_can_be_made_of(
    tmp_path: Path, task: LearningTask, spec: InputSpec
) -> None:
    path = tmp_path / "a.csv"
    path.write_text("b,a,label\n1,2,0\n3,4,0\n5,6,1\n7,9,1\n" + "".join(f"{i},{i * i},{i % 2}\n" for i in range(30)))
    report, contents = check(path, task=task)
    assert contents is not None, report.faults
    wish = SampleWish(tmp_path / "sample", spec)
    hand_over(contents, wish)
    assert not wish.into.exists()
