"""Experiments are read as strictly as recipes; those that ship are sound, in full and in quick."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from training.errors import BadRecipe
from training.experiment.reading import digest, parse_experiment, read_experiment, shipped

SMALL: dict[str, Any] = {
    "apiVersion": "experiment/v1",
    "name": "small",
    "question": "Does it work?",
    "source": {
        "network": {"kind": "builder", "name": "mlp", "params": {"hidden": [4], "standardise": False}},
        "data": {"uri": "builtin:blobs:1"},
        "divide": {"order": "given", "train": 500},
        "stages": [{"epochs": 1}],
    },
    "target": {"data": {"uri": "builtin:blobs:2"}, "divide": {"order": "given", "train": 500}},
    "stages": [{"epochs": 1}],
    "arms": [{"kind": "network", "name": "scratch", "weights": "scratch"}],
    "compare": {"scratch": "scratch"},
}


@pytest.mark.parametrize("quick", [False, True])
@pytest.mark.parametrize("name", shipped())
def test_what_ships_is_sound(name: str, quick: bool) -> None:
    found = read_experiment(name, quick=quick)
    assert found.name == name
    assert found.question.endswith("?")
    # A quick run is another experiment: its results are never taken for those of the real one.
    assert (digest(found) == digest(read_experiment(name))) is not quick


def test_an_unknown_key_is_refused_with_the_one_that_was_meant() -> None:
    read = {**SMALL, "source": {**SMALL["source"], "stages": [{"epochs": 1, "learnig_rate": 0.1}]}}
    with pytest.raises(BadRecipe, match=r"'source\.stages\.0\.learnig_rate', did you mean 'learning_rate'"):
        parse_experiment(read)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"compare": {"scratch": "nobody"}}, "there is no arm 'nobody'"),
        ({"stages": []}, "has no stages, and the experiment has none to lend"),
        ({"arms": SMALL["arms"] * 2}, "two arms have one name"),
        ({"stages": [{"epochs": 1, "steps": 2}]}, "say epochs or steps"),
        ({"target": {"data": {"uri": "x"}, "divide": {}}}, "say how many items"),
        ({"arms": [{"kind": "network", "name": "scratch", "weights": "scratch", "head": "source"}]}, "reused body"),
    ],
)
def test_what_does_not_hang_together_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(BadRecipe, match=message):
        parse_experiment({**SMALL, **change})


def test_settings_reach_into_lists_and_values() -> None:
    found = read_experiment("blobs", ["source.stages.0.epochs=7", "repeats.sources=2", "swap=true"])
    assert (found.source.stages[0].epochs, found.repeats.sources, found.swap) == (7, 2, True)


@pytest.mark.parametrize("setting", ["arms.99.name=x", "name.first=x", "seed"])
def test_a_setting_that_leads_nowhere_is_refused(setting: str) -> None:
    with pytest.raises(BadRecipe):
        read_experiment("blobs", [setting])


def test_a_file_is_read_as_yaml(tmp_path: Path) -> None:
    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump(SMALL))
    assert read_experiment(str(path)) == parse_experiment(SMALL)


def test_a_name_that_is_nearly_right_is_recognised() -> None:
    with pytest.raises(BadRecipe, match="did you mean 'blobs'"):
        read_experiment("blob")


def test_words_do_not_change_what_is_computed() -> None:
    one, other = parse_experiment(SMALL), parse_experiment({**SMALL, "question": "Well?", "notes": ["a note"]})
    assert digest(one) == digest(other)
    assert digest(one) != digest(parse_experiment({**SMALL, "seed": 1}))
