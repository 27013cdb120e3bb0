"""The pictures of an experiment: what the tutorials show is there, as SVG that stands by itself."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from training.experiment.command import conduct
from training.experiment.figures import against_size, box_plot
from training.experiment.reading import read_experiment

AXES = {
    "scores": "accuracy on the test, share of items",
    "seconds": "seconds of training",
    "curves": "training loss, nats",
    "labels-": "labelled items a class",
}


def words(svg: str) -> str:
    return " ".join("".join(one.itertext()) for one in ElementTree.fromstring(svg).iter() if one.tag.endswith("text"))


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Of the split of the digits in two, tiny: pictures, curves, times."""
    directory = tmp_path_factory.mktemp("pictures")
    settings = ["repeats.sources=3"]
    conduct(read_experiment("cifar-split", settings, quick=True), directory, lambda event: None)
    return {path.stem: path.read_text() for path in directory.glob("*.svg")}


def test_an_experiment_has_the_tutorials_figures(drawn: dict[str, str]) -> None:
    assert set(drawn) >= {"data-source", "data-target", "scores", "curves", "seconds"}
    for name, text in AXES.items():
        if name in drawn:
            assert text in words(drawn[name])
    assert "whiskers: to the last point within 1.5 times the box" in words(drawn["scores"])
    for arm in ("scratch", "as-written", "frozen-convolutions"):
        assert arm in words(drawn["scores"])
        assert arm in words(drawn["curves"])


def test_pictures_stand_by_themselves_and_have_no_ground(drawn: dict[str, str]) -> None:
    for svg in drawn.values():
        root = ElementTree.fromstring(svg)
        assert root.get("viewBox")
        assert root.get("width") is None
        assert "http://" not in svg.replace("http://www.w3.org", "")
        assert 'fill: #ffffff"' not in svg


def test_every_point_of_a_box_plot_is_drawn() -> None:
    few, many = (box_plot({"a": [0.1 * place for place in range(n)]}, "t") for n in (3, 9))
    assert many.count("<use") - few.count("<use") == 6


def test_the_same_numbers_give_the_same_picture() -> None:
    lines = {"a": [(2.0, 0.5, 0.4, 0.6), (5.0, 0.7, None, None)]}
    assert against_size(lines, "t") == against_size(lines, "t")
