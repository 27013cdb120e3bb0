"""What is looked at only to be reported: thumbnails and the map of items."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest

from training.report.observed.directions import MOST_ITEMS, OTHER, main_directions, plane
from training.report.observed.png import encode
from training.report.observed.thumbnails import BUDGET, SIDE, code_of, thumbnails


@pytest.mark.parametrize("channels", [1, 3])
def test_a_png_is_what_others_read(channels: int) -> None:
    from PIL import Image

    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, channels), dtype=np.uint8)
    read = np.asarray(Image.open(io.BytesIO(encode(pixels))))
    assert np.array_equal(read.reshape(pixels.shape), pixels)


@pytest.mark.parametrize("shape", [(8, 8, 1), (224, 224, 3), (50, 300, 3), (300, 10, 4), (1, 1, 2)])
def test_thumbnails_are_small_and_keep_their_brightness(shape: tuple[int, int, int]) -> None:
    from PIL import Image

    read = Image.open(io.BytesIO(base64.b64decode(code_of(np.full(shape, 130.4, np.float32)))))
    assert max(read.size) <= SIDE
    assert set(np.asarray(read).ravel().tolist()) == {130}


def test_thumbnails_end_where_their_budget_does() -> None:
    draw = np.random.default_rng(0)
    items = {f"class {n}": list(range(9)) for n in range(24)} | {"empty": []}
    shown = thumbnails(items, lambda chosen: draw.uniform(0, 255, (len(chosen), 48, 48, 3)).astype(np.float32))
    assert 0 < len(shown) < 24
    assert sum(len(code) for entry in shown for code in entry["images"]) <= BUDGET
    assert all(len(entry["images"]) == 3 for entry in shown)


def test_two_numbers_are_shown_as_they_are() -> None:
    features = np.array([[1.0, 2.0], [3.0, 4.0]], np.float32)
    preview = plane(features, np.array([0, 1]), ["a", "b"], 0, ("width", "height"))
    assert preview["axes"] == ["width", "height"]
    assert preview["points"] == [[1.0, 2.0, 0], [3.0, 4.0, 1]]


def test_the_main_direction_is_found_whatever_its_sign() -> None:
    along = np.linspace(-1, 1, 50)
    features = np.stack([along, along, 0.01 * np.cos(9 * along)], axis=1)
    places, shares = main_directions(features)
    assert shares[0] == pytest.approx(2 / 3, abs=0.01)
    assert abs(np.corrcoef(places[:, 0], along)[0, 1]) > 0.999
    turned, _ = main_directions(features[::-1].copy())
    assert np.allclose(turned[::-1], places)


def test_constant_features_and_single_ones_lie_in_one_point() -> None:
    assert plane(np.ones((4, 3), np.float32), np.zeros(4, np.int64), ["a"], 0)["points"] == [[0.0, 0.0, 0]] * 4
    assert len(plane(np.ones((4, 1), np.float32), np.zeros(4, np.int64), ["a"], 0)["points"]) == 4


def test_of_many_items_and_classes_some_are_shown() -> None:
    features = np.random.default_rng(0).normal(size=(2_000, 5)).astype(np.float32)
    preview = plane(features, np.arange(2_000) % 40, [f"c{n}" for n in range(40)], 0)
    assert len(preview["points"]) == MOST_ITEMS
    assert len(preview["names"]) == 18
    assert preview["names"][-1] == OTHER
    assert max(point[2] for point in preview["points"]) == 17
    assert preview == plane(features, np.arange(2_000) % 40, [f"c{n}" for n in range(40)], 0)
