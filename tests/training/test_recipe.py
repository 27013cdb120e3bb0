"""Recipes are read strictly, and say what is wrong."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from training.errors import BadRecipe
from training.presets import PRESETS, preset
from training.recipe import parse_overrides, parse_recipe, read_recipe, with_settings

SOUND: Mapping[str, Any] = {
    "apiVersion": "transfer/v1",
    "name": "h",
    "base": {"kind": "version", "ref": "m@1"},
    "dataset": {"uri": "a.csv"},
}


def test_presets_are_sound() -> None:
    assert {(name, part): preset(name, part).name for name in PRESETS for part in PRESETS[name]} == {
        ("digits", "base"): "digits",
        ("digits", "head"): "digits-5-9",
        ("blobs", "base"): "blobs",
        ("blobs", "head"): "blobs-2",
    }


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"sed": 1}, "unknown key 'sed', did you mean 'seed'?"),
        ({"head": {"l_2": 1.0}}, "unknown key 'head.l_2', did you mean 'l2'?"),
        ({"base": {"kind": "version", "ref": "m", "cuts": "a"}}, "unknown key 'base.cuts', did you mean 'cut'?"),
        ({"gate": {"mode": "maybe"}}, "gate.mode"),
        ({"split": {"test": 1.5}}, "split.test"),
        ({"seed": "1"}, "seed"),
        ({"head": {"l2": -1.0}}, "head.l2"),
        ({"head": {"l2": "strong"}}, "head.l2"),
        ({"base": {"kind": "builder", "name": "transformer"}}, "base"),
        ({"base": {"kind": "magic"}}, "base"),
        ({"apiVersion": "transfer/v2"}, "apiVersion"),
        ({"name": "../x"}, "name"),
    ],
)
def test_what_is_not_understood_is_refused(change: dict[str, Any], words: str) -> None:
    with pytest.raises(BadRecipe) as refused:
        parse_recipe({**SOUND, **change})
    assert words in str(refused.value)


def test_every_problem_is_told_at_once() -> None:
    with pytest.raises(BadRecipe) as refused:
        parse_overrides({"sead": 1, "split": {"test": 7}, "base": {}})
    assert len(refused.value.details["problems"]) == 3


def test_settings() -> None:
    recipe = parse_recipe(SOUND)
    changed = with_settings(recipe, ["head.l2=0.5", "seed=3", "gate.mode=record", "base.cut=dense"])
    assert (changed.head.l2, changed.seed, changed.gate.mode) == (0.5, 3, "record")
    for bad in ("head.l2", "head.l3=1", "seed.x=1"):
        with pytest.raises(BadRecipe):
            with_settings(recipe, [bad])


def test_files(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    with pytest.raises(BadRecipe, match="cannot read"):
        read_recipe(path)
    path.write_text("{")
    with pytest.raises(BadRecipe, match="not JSON"):
        read_recipe(path)
    path.write_text(json.dumps(SOUND))
    assert read_recipe(path).name == "h"
    path.write_text("[]")
    with pytest.raises(BadRecipe):
        read_recipe(path)
