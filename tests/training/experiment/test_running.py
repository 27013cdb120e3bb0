"""Experiments from end to end, tiny: all that ship run, a stopped one goes on, arms share items and beginnings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from training.errors import BadRecipe
from training.experiment.command import RESULTS, conduct
from training.experiment.reading import parse_experiment, read_experiment, shipped
from training.experiment.runner import RUNS, run

TINY: dict[str, Any] = {
    "apiVersion": "experiment/v1",
    "name": "tiny",
    "question": "Does it go on?",
    "source": {
        "network": {"kind": "builder", "name": "mlp", "params": {"hidden": [5], "standardise": False}},
        "data": {"uri": "builtin:blobs:1"},
        "divide": {"order": "given", "train": 100, "test": 100},
        "stages": [{"epochs": 2}],
    },
    "target": {"data": {"uri": "builtin:blobs:2"}, "divide": {"train": 60, "test": 100}},
    "stages": [{"epochs": 2}],
    "arms": [
        {"kind": "network", "name": "scratch", "weights": "scratch"},
        {"kind": "network", "name": "same", "weights": "scratch"},
        {"kind": "network", "name": "frozen", "weights": "source", "stages": [{"train": "head", "epochs": 2}]},
        {"kind": "network", "name": "old-head", "weights": "source", "head": "source"},
        {"kind": "classical", "name": "logistic", "model": "logistic"},
    ],
    "repeats": {"sources": 3, "seeds": 2},
    "compare": {"scratch": "scratch", "linear": "logistic", "ordering": ["frozen", "scratch"]},
}


def quiet(*unused: object) -> None:
    """Progress that nobody looks at."""


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("tiny")
    conduct(parse_experiment(TINY), directory, quiet)
    return directory


def without_times(runs: list[dict[str, Any]]) -> Any:
    def stripped(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: stripped(inner) for key, inner in value.items() if key not in {"seconds", "peak_rss_mb"}}
        if isinstance(value, list):
            # A point of a curve: step, seconds, loss, score.
            return [stripped(one) for place, one in enumerate(value) if not (len(value) == 4 and place == 1)]
        return value

    return stripped(runs)


@pytest.mark.parametrize("name", shipped())
def test_every_experiment_that_ships_runs(name: str, tmp_path: Path) -> None:
    experiment = read_experiment(name, quick=True)
    found = conduct(experiment, tmp_path, quiet, with_pictures=False)
    assert json.loads((tmp_path / RESULTS).read_text()) == found
    assert found["verdict"][0]
    for study in found["studies"]:
        assert list(study["arms"]) == [arm.name for arm in experiment.arms]
    for one in found["runs"]:
        for arm in one["arms"].values():
            assert arm["score"] == pytest.approx(arm["right"].count("1") / len(arm["right"]))


def test_every_score_is_kept_and_repeats_differ(tiny: Path) -> None:
    found = json.loads((tiny / RESULTS).read_text())
    assert len(found["runs"]) == 6
    curves = {json.dumps(one["arms"]["scratch"]["curve"]) for one in found["runs"]}
    assert len(curves) == 6


def test_arms_that_are_alike_come_out_alike(tiny: Path) -> None:
    for one in json.loads((tiny / RESULTS).read_text())["runs"]:
        first, second = (dict(one["arms"][name]) for name in ("scratch", "same"))
        assert without_times([first]) == without_times([second])


def test_a_reused_head_starts_from_what_the_source_knew(tiny: Path) -> None:
    for one in json.loads((tiny / RESULTS).read_text())["runs"]:
        arms = one["arms"]
        assert arms["old-head"]["start_score"] != arms["frozen"]["start_score"]
        assert arms["frozen"]["trained"] == ["logits"]


def test_a_stopped_experiment_goes_on_where_it_was(tiny: Path, tmp_path: Path) -> None:
    whole = (tiny / RUNS).read_text()
    lines = whole.splitlines(keepends=True)
    # Two repeats are there, and a third that was being written when the process died.
    (tmp_path / RUNS).write_text("".join(lines[:3]) + lines[3][:40])
    told: list[int] = []
    runs = run(parse_experiment(TINY), tmp_path, lambda text, done, total: told.append(total))
    assert set(told) == {4}
    expected = [json.loads(line)["figures"] for line in lines[1:]]
    assert without_times(runs) == without_times(expected)
    assert len((tmp_path / RUNS).read_text().splitlines()) == len(lines)


def test_results_of_another_experiment_are_not_taken(tiny: Path) -> None:
    with pytest.raises(BadRecipe, match="another experiment"):
        run(parse_experiment({**TINY, "seed": 5}), tiny, quiet)


def test_the_report_has_its_pictures_inside_and_asks_for_nothing(tiny: Path) -> None:
    page = (tiny / "report.html").read_text()
    verdict = json.loads((tiny / RESULTS).read_text())["verdict"][0]
    assert verdict.split(";")[0] in page[: page.index("</h1>")]
    assert page.count("<svg") == len(list(tiny.glob("*.svg"))) >= 6
    assert "whiskers" in page
    assert "validation = test" in page
    for outside in ("<script", "<link", "src=", "@import"):
        assert outside not in page


def test_swap_learns_the_target_first(tmp_path: Path) -> None:
    swapped = parse_experiment({**TINY, "swap": True, "repeats": {"sources": 1}})
    (one,) = run(swapped, tmp_path, quiet)
    (plain,) = run(parse_experiment({**TINY, "repeats": {"sources": 1}}), tmp_path / "plain", quiet)
    # Problem 1 is the easier one for a linear model.
    assert one["arms"]["logistic"]["score"] > plain["arms"]["logistic"]["score"]


def test_a_transfer_arm_below_the_linear_model_is_flagged_in_every_such_run(tiny: Path) -> None:
    for one in json.loads((tiny / RESULTS).read_text())["runs"]:
        linear = one["arms"]["logistic"]["score"]
        below = {name for name in ("frozen", "old-head") if one["arms"][name]["score"] < linear}
        assert set(one["flags"]) == below
