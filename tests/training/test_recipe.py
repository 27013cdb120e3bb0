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
from training.recipe_page import as_yaml, show

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
        ("geron", "base"): "geron-a",
        ("geron", "head"): "geron-b",
        ("cifar-split", "base"): "cifar-split-a",
        ("cifar-split", "head"): "cifar-split-b",
        ("vgg16-gap", "base"): "vgg16",
        ("vgg16-gap", "head"): "vgg16-digits",
    }


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"sed": 1}, "unknown key 'sed', did you mean 'seed'?"),
        ({"finetune": {"lr": 1e-4}}, "unknown key 'finetune.lr', did you mean 'learning_rate'?"),
        (
            {"base": {"kind": "builder", "name": "cnn", "fit": {"lr": 1e-3}}},
            "unknown key 'base.fit.lr', did you mean 'learning_rate'?",
        ),
        ({"base": {"kind": "builder", "name": "mlp", "params": {"filters": [3]}}}, "there are hidden, standardise"),
        ({"gate": {"zzz": 1}}, "unknown key 'gate.zzz', there are margin, mode, require"),
        ({"finetune": {"steps": 5, "epochs": 5}}, "finetune: Value error, say steps or epochs, not both"),
        ({"finetune": {"unfreeze": {"last_n": 1, "fraction": 0.5}}}, "say one of names, last_n"),
        ({"head": {"classes": {"mode": "extend"}}}, "mode extend and replay go together"),
        ({"split": {"method": "group"}}, "split.method 'group' needs dataset.group"),
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
    with pytest.raises(BadRecipe, match="neither YAML nor JSON"):
        read_recipe(path)
    path.write_text(json.dumps(SOUND))
    assert read_recipe(path).name == "h"
    path.write_text("[]")
    with pytest.raises(BadRecipe):
        read_recipe(path)
    path.write_text("apiVersion: transfer/v1\nname: h\nbase: {kind: version, ref: m@1}\ndataset: {uri: a.csv}\n")
    assert read_recipe(path) == parse_recipe(SOUND)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(BadRecipe, match="not text"):
        read_recipe(path)
    path.write_text("name: !!python/object/apply:os.getpid []\n")
    with pytest.raises(BadRecipe, match="neither YAML nor JSON"):
        read_recipe(path)


def test_what_is_shown_is_read_back_the_same(tmp_path: Path) -> None:
    for name in PRESETS:
        for part in PRESETS[name]:
            path = tmp_path / "shown.yaml"
            path.write_text(as_yaml(preset(name, part)))
            assert read_recipe(path) == preset(name, part)


def test_the_published_schema_is_the_one_that_is_obeyed(capsys: pytest.CaptureFixture[str]) -> None:
    assert show(None, True) == 0
    published = (Path(__file__).parents[2] / "docs" / "recipe.schema.json").read_text()
    assert capsys.readouterr().out == published, "regenerate: graft recipe --schema > docs/recipe.schema.json"


def test_showing_a_recipe_that_is_refused_says_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text("apiVersion: transfer/v1\n")
    assert show(str(path), False) == 1
    assert "name" in capsys.readouterr().err
    assert show("no-such", False) == 1
    assert "neither a preset" in capsys.readouterr().err
