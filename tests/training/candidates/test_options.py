"""What a recipe may ask of a head beside the default: copies, old classes, a start from the current version, anew."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.domain.artifact import MANIFEST, Manifest, ModelKind
from training.builtin import digits
from training.errors import BadRecipe, LimitReached
from training.pipeline import HeadRun
from training.recipe import parse_overrides
from training.task import Task
from training.workarea import WorkArea

QUICK = {"baselines": ["majority"], "finetune": {"enabled": "never"}, "gate": {"mode": "record"}}


@dataclass(frozen=True, slots=True)
class Bench:
    """Runs jobs on one base, each in a place of its own under ``home``."""

    base: Path
    home: Path

    def data(self, name: str, first: int, last: int, items: int) -> Path:
        images, target = digits(first, last)
        path = self.home / f"{name}.npz"
        np.savez(path, x=images[:items], y=target[:items])
        return path

    def run(self, name: str, file: Path, cut: Any = "auto", **recipe: Any) -> HeadRun:
        more = {key: recipe.pop(key) for key in ("current", "replay") if key in recipe}
        task = Task("fives", "digits", 1, self.base, file, self.home / "repo", job_id=name, **more)
        area = WorkArea(self.home / name, task.identity())
        run = HeadRun(task, parse_overrides({**QUICK, **recipe}), area, lambda _: None, cut=cut)
        run.run()
        return run

    def manifest(self, version: int) -> Manifest:
        return Manifest.from_json((self.home / "repo" / "fives" / str(version) / MANIFEST).read_text())


@pytest.fixture
def bench(base_repository: Any, tmp_path: Path) -> Bench:
    return Bench(base_repository.base, tmp_path)


def accuracy(run: HeadRun, name: str = "candidate") -> float:
    return float(run.found["evaluate"]["arms"][name]["accuracy"])


def test_copies_take_part_in_the_last_fit_alone(bench: Bench) -> None:
    file = bench.data("fives", 5, 9, 120)
    plain, copied = bench.run("plain", file), bench.run("copied", file, augment={"cached_copies": 2})
    assert copied.found["probe"]["trials"] == plain.found["probe"]["trials"]
    assert not np.array_equal(copied.linear("candidate").weights, plain.linear("candidate").weights)
    from training.candidates.copies import copied_features

    copies = copied_features(copied, copied.cuts)
    originals = copied.features(copied.split.train)
    assert copies.shape == (2 * len(originals), originals.shape[1])
    near = np.corrcoef(copies[: len(originals)].ravel(), originals.ravel())[0, 1]
    assert 0.5 < near < 1.0, "like the originals, in their order, and not the same"


def test_old_classes_are_kept_where_there_is_data_of_them(bench: Bench) -> None:
    bench.run("old", bench.data("old", 5, 7, 240))
    current = bench.home / "repo" / "fives" / "1"
    new = bench.data("new", 8, 9, 120)
    extend = {"head": {"classes": {"mode": "extend", "replay": "old.npz"}}}
    run = bench.run("both", new, current=current, replay=bench.data("replayed", 5, 7, 240), **extend)
    assert bench.manifest(2).labels == ("5", "6", "7", "8", "9")
    assert run.found["probe"]["new_class_factor"] > 0
    weights = run.linear("candidate").weights
    norms = np.linalg.norm(weights, axis=1)
    assert norms[3:].mean() == pytest.approx(norms[:3].mean())
    recalls = run.found["evaluate"]["classes"]["recall"]
    assert min(recalls) > 0.6, "neither old nor new classes are forgotten"


@pytest.mark.parametrize(
    ("prepare", "said"),
    [
        (lambda bench: {}, "which a tuning job cannot"),
        (lambda bench: {"replay": bench.data("old", 5, 7, 60)}, "no current version"),
    ],
)
def test_extending_needs_what_it_extends(bench: Bench, prepare: Callable[[Bench], dict[str, Any]], said: str) -> None:
    extend = {"head": {"classes": {"mode": "extend", "replay": "old.npz"}}}
    with pytest.raises(BadRecipe, match=said):
        bench.run("j", bench.data("new", 8, 9, 60), **prepare(bench), **extend)


def test_layers_of_the_base_may_start_anew(bench: Bench) -> None:
    tuning = {"enabled": "always", "mode": "full", "steps": 200, "learning_rate": 3e-3}
    run = bench.run("anew", bench.data("fives", 5, 9, 300), cut="dense", head={"reinit": ["dense"]}, finetune=tuning)
    found = run.found["finetune"]
    assert found["reinitialised"] == ["dense"]
    assert found["start_gap"] > 1e-2, "it no longer starts at the probe"
    assert found["tried"]


def test_it_may_go_on_from_the_current_head(bench: Bench) -> None:
    file, from_current = bench.data("fives", 5, 9, 200), {"init": "from_current"}
    with pytest.raises(BadRecipe, match="no current version"):
        bench.run("none", file, head={**from_current, "hidden": [8]})
    bench.run("first", file, cut="dense", head={"hidden": [8]})
    current = bench.home / "repo" / "fives" / "1"
    assert bench.manifest(1).kind is ModelKind.FULL
    with pytest.raises(BadRecipe, match="no layer like"):
        bench.run("other", file, cut="dense", current=current, head={**from_current, "hidden": [9]})
    again = bench.run("again", file, cut="dense", current=current, head={**from_current, "hidden": [8]})
    looks = again.found["probe"]["network"]["history"]["looks"]
    assert looks[0]["score"] > 0.6, "it began where the current version is"


def test_several_cuts_side_by_side_are_one_head(bench: Bench) -> None:
    run = bench.run("joined", bench.data("fives", 5, 9, 200), cut=["flatten", "dense"])
    assert run.cuts == ("flatten", "dense")
    assert run.linear("candidate").weights.shape[1] == sum(run.base_manifest.features.values())
    assert bench.manifest(1).cut == "flatten+dense"
    assert accuracy(run) > accuracy(run, "majority")


def test_too_many_items_end_it_at_once(bench: Bench) -> None:
    with pytest.raises(LimitReached, match=r"limits\.examples"):
        bench.run("many", bench.data("fives", 5, 9, 60), limits={"examples": 50})
