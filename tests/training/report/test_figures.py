"""Charts: round marks, nothing outside of the paper, no words over each other, all points counted."""

from __future__ import annotations

import re
from itertools import pairwise

import numpy as np
import pytest

from training.report.figures.bars import Bar, bars
from training.report.figures.boxes import box_of, boxes
from training.report.figures.curves import MOST_POINTS, Curve, curves, thinned
from training.report.figures.drawing import apart, shortened, width_of
from training.report.figures.heatmap import heat_map, top_confusions
from training.report.figures.ranges import Range, ranges
from training.report.figures.reliability import reliability
from training.report.figures.scale import Scale, around, round_step, tick_texts
from training.report.figures.scatter import against_truth, groups, residuals


@pytest.mark.parametrize(("least", "step"), [(0.7, 1.0), (1.0, 1.0), (1.1, 2.0), (0.03, 0.05), (600, 1000), (0, 1.0)])
def test_steps_are_round(least: float, step: float) -> None:
    assert round_step(least) == pytest.approx(step)


@pytest.mark.parametrize(("low", "high"), [(0, 1), (0.93, 0.97), (-3, 12), (0, 0.00042), (1e6, 9e6), (-1e-9, 1e-9)])
def test_marks_lie_within_and_differ(low: float, high: float) -> None:
    ticks = Scale(low, high, 0, 100).ticks(6)
    assert 2 <= len(ticks) <= 6
    assert all(low - 1e-12 <= tick <= high + 1e-12 for tick in ticks)
    texts = tick_texts(ticks)
    assert len(set(texts)) == len(texts)
    assert max(map(len, texts)) <= 9


def test_a_scale_of_powers() -> None:
    scale = around([1e-6, 3e-4, 0.0, float("nan")], 0, 100, log=True)
    assert tick_texts(scale.ticks(6))[0] == "1e−6"
    assert scale.at(0.0) == 0
    assert 0 <= scale.at(1e-5) <= 100


def test_what_is_outside_lies_on_the_edge_and_one_value_in_the_middle() -> None:
    assert Scale(0, 1, 10, 20).at(7) == 20
    assert around([5.0], 0, 100).at(5.0) == pytest.approx(50)
    assert (around([], 0, 1).low, around([], 0, 1).high) == (0, 1)


def test_labels_move_apart_and_stay_within() -> None:
    moved = apart([50, 51, 52, 100], 14, 0, 100)
    assert all(after - before >= 14 - 1e-9 for before, after in pairwise(sorted(moved)))
    assert max(moved) <= 100
    assert apart([10, 80], 14, 0, 100) == [10, 80]


def test_words_are_cut_to_their_room() -> None:
    assert shortened("short", 100) == "short"
    cut = shortened("a" * 300, 100)
    assert cut.endswith("…")
    assert width_of(cut) <= 100
    assert width_of("猫猫") > width_of("ab")


def test_curves_end_where_they_end_and_skip_what_is_no_number() -> None:
    drawn = curves("t", [Curve("loss", [(0, float("nan")), (1, 2.0), (2, 1.0)])], "step", "loss", floor=0.0)
    assert "nan" not in drawn
    assert "from 2 to 1" in drawn
    assert len(thinned([(step, 1.0) for step in range(10_000)])) == MOST_POINTS
    assert thinned([(step, 1.0) for step in range(10_000)])[-1] == (9_999, 1.0)
    assert curves("t", [Curve("one", [(3, 1.0)])], "step", "loss").count("<circle") == 1
    assert curves("t", [], "step", "loss").count("<polyline") == 0


def test_boxes_follow_tukey_and_show_every_point() -> None:
    drawn = box_of([1, 2, 3, 4, 5, 100])
    assert (drawn.median, drawn.low, drawn.high) == (3.5, 1, 5)
    assert (drawn.first, drawn.third) == (2.25, 4.75)
    assert boxes("t", {"a": [1, 2, 3, 4, 5, 100], "b": [2.0, 2.0]}, "score").count("<circle") == 8


def test_the_most_frequent_mistakes() -> None:
    counts = [[8, 2, 0], [1, 9, 0], [2, 0, 38]]
    found = top_confusions(["a", "b", "c"], counts, 2)
    # Twice each; two of ten are worse than two of forty.
    assert found == [("a", "b", 2, 10), ("c", "a", 2, 40)]


@pytest.mark.parametrize("classes", [2, 6, 12, 30, 50])
def test_a_heat_map_has_a_cell_for_every_pair_and_names_within_the_picture(classes: int) -> None:
    counts = np.eye(classes, dtype=int) * 7
    drawn = heat_map("m", [f"a rather long class name {n}" for n in range(classes)], counts.tolist())
    assert drawn.count('class="empty"') == classes**2
    assert drawn.count('class="right"') == classes
    size = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', drawn)
    assert size is not None
    assert float(size[1]) < 1_000
    assert "-" not in "".join(re.findall(r'\by="(-?[\d.]+)"', drawn.split("<g ")[0]))


def test_no_items_of_a_class_are_no_shade() -> None:
    assert 'class="right"' not in heat_map("m", ["a", "b"], [[0, 0], [0, 0]])


def test_many_points_are_counted_in_cells() -> None:
    draw = np.random.default_rng(0)
    true = draw.normal(size=3_000)
    few, many = true[:100].tolist(), true.tolist()
    assert against_truth("t", few, few, "kg").count("<circle") == 100
    binned = against_truth("t", many, many, "kg")
    assert "<circle" not in binned
    assert sum(int(n) for n in re.findall(r"<title>(\d+) items</title>", binned)) == 3_000
    assert residuals("t", few, few, "kg").count("<circle") == 100


def test_groups_have_signs_of_their_own_and_a_legend() -> None:
    points = [(0.1 * n, 0.2 * n, n) for n in range(18)]
    drawn = groups("t", points, [f"class {n}" for n in range(18)], ("x", "y"))
    signs = re.findall(r'<(circle|rect|path)[^>]*class="point (fill\d)"', drawn)
    assert len(signs) == 36
    assert len(set(signs)) == 18
    assert all(f">class {n}<" in drawn for n in range(18))


def test_reliability_counts_every_item() -> None:
    bins = [{"confidence": 0.9, "accuracy": 0.8, "items": 40, "low": 0.65, "high": 0.9}]
    assert "40 items" in reliability("r", bins)
    assert "no items" in reliability("r", [])


def test_bars_and_ranges_do_without_intervals_and_values() -> None:
    assert 'width="1"' in bars("b", [Bar("gate", 0.0, "0 ms")])
    drawn = ranges("r", [Range("majority", 0.2, None, None, "0.200")], "accuracy", zero=True, bounds=(0, 1))
    assert "whisker" not in drawn
    assert drawn.count("<circle") == 1
