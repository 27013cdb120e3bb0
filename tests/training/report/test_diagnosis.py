"""Named verdicts from curves, and warnings from figures."""

from __future__ import annotations

from typing import Any

import pytest
import report_documents

from training.report.cautions import cautions
from training.report.diagnosis import diagnose
from training.report.manner import MANNERS, manner_of


def history(losses: list[float | None], scores: list[float] | None = None) -> dict[str, Any]:
    looks = [
        {"step": 25 * n, "loss": loss, "score": scores[n] if scores else None, "rate": 1e-3, "seconds": 0.1 * n}
        for n, loss in enumerate([None, *losses])
    ]
    return {"looks": looks, "steps": 25 * len(losses), "seconds": 1.0}


@pytest.mark.parametrize(
    ("losses", "code"),
    [
        ([2.3, 2.3, 2.301, 2.299, 2.3, 2.3], "plateau"),
        ([2.3, 1.0, 0.4, 0.21, 0.2, 0.2, 0.2, 0.2], "learned"),
        ([2.3, 2.1, 1.9, 1.7, 1.5, 1.3, 1.1, 0.9], "still_falling"),
        ([2.3, 4.0, 9.0, 25.0], "diverges"),
        ([2.3, 0.5, 0.4, 1.9], "diverges"),
        ([2.3, None, 1.0, 1.0], "not_finite"),
        ([2.3, float("nan"), 1.0, 1.0], "not_finite"),
    ],
)
def test_a_curve_gets_its_name(losses: list[float | None], code: str) -> None:
    (found,) = diagnose({"histories": {"fit": history(losses)}})
    assert found["code"] == code
    assert "the loss of training" in found["evidence"]
    assert found["advice"] or found["tone"] == "good"


def test_a_loss_stuck_at_25_with_large_inputs_is_put_down_to_them() -> None:
    stuck = {"histories": {"fit": history([25.0] * 6)}}
    (found,) = diagnose({**stuck, "inputs": {"largest": 4_000.0, "scaled": False}})
    assert (found["code"], "4" in found["evidence"]) == ("input_scale", True)
    (scaled,) = diagnose({**stuck, "inputs": {"largest": 4_000.0, "scaled": True}})
    assert scaled["code"] == "plateau"


def test_too_few_looks_say_nothing() -> None:
    assert diagnose({"histories": {"fit": history([2.0, 1.0])}}) == []


def test_a_score_that_fell_again() -> None:
    losses = [2.0, 1.0, 0.5, 0.2, 0.1, 0.1, 0.1, 0.1]
    found = diagnose({"histories": {"fit": history(losses, [0.2, 0.6, 0.8, 0.9, 0.9, 0.85, 0.8, 0.7, 0.6])}})
    assert [entry["code"] for entry in found] == ["learned", "trained_too_long"]


@pytest.mark.parametrize(
    ("metric", "train", "held_out", "code"),
    [
        ("accuracy", 1.0, 0.7, "overfits"),
        ("accuracy", 0.95, 0.93, "generalises"),
        ("mae", 10.0, 31.0, "overfits"),
        ("mae", 10.0, 11.0, "generalises"),
    ],
)
def test_the_gap_between_known_and_new_items(metric: str, train: float, held_out: float, code: str) -> None:
    (found,) = diagnose({"scores": {"metric": metric, "train": train, "held_out": held_out}})
    assert found["code"] == code


def test_dead_features() -> None:
    assert diagnose({"units": {"cut": "dense", "width": 100, "dead": 10}}) == []
    (found,) = diagnose({"units": {"cut": "dense", "width": 100, "dead": 60}})
    assert (found["code"], "60 of 100 features" in found["evidence"]) == ("dead_units", True)


def codes(report: dict[str, Any]) -> set[str]:
    return {warning["code"] for warning in cautions(report)}


def test_warnings() -> None:
    good = report_documents.multiclass(5, 240)
    assert codes(good) == set()
    assert codes(report_documents.multiclass(2, 12)) >= {"small_test"}
    worse = {"value": -0.1, "interval": {"low": -0.2, "high": -0.01}}
    level = {"value": 0.0, "interval": {"low": -0.1, "high": 0.1}}
    told = {**good, "differences": {"linear_raw": worse, "scratch": level, "majority": level}}
    assert codes(told) == {"worse_than_linear_raw", "not_better_than_majority"}
    same = {"test": "ab", "validation": "ab"}
    assert codes({**good, "split": {"digests": same}}) == {"validation_is_test"}
    assert codes({**good, "current_skipped": "not compared with the current version: other classes"}) == {
        "not_compared"
    }
    assert codes({**good, "recipe": {"head": {"classes": {"mode": "extend", "replay": None}}}}) == {"replay_missing"}
    assert codes({**good, "fewest_of_a_class": 2}) == {"small_class"}


@pytest.mark.parametrize(
    ("found", "manner"),
    [
        ({"finetune": {"kept": True, "mode": "partial"}, "probe": {}}, "partial"),
        ({"finetune": {"kept": True, "mode": "full"}, "probe": {}}, "full"),
        ({"finetune": {"kept": False, "mode": "full"}, "probe": {}}, "probe"),
        ({"histories": {"fit": {}}}, "scratch"),
        ({}, "as_it_is"),
    ],
)
def test_the_manner_is_what_was_done(found: dict[str, Any], manner: str) -> None:
    assert manner_of(found) == manner
    assert manner in MANNERS
