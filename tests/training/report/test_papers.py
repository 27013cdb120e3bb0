"""The report's document, the model card and the lineage."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import report_documents

from service.domain.artifact import Manifest
from training.report import headline, lineage, model_card, to_json
from training.report.lineage import code_digest, merkle_root, split_digests
from training.report.notation import figure, megabytes, plural, seconds, share, signed, whole
from training.report.verdict import transfer


def test_the_sentence_is_made_from_the_figures() -> None:
    report = report_documents.multiclass(5, 240)
    arms = report["arms"]
    assert report["headline"] == (
        f"defects answers {arms['candidate']['accuracy']:.3f} of 240 sealed items right "
        f"(95 % interval {arms['candidate']['accuracy_low']:.2f}-{arms['candidate']['accuracy_high']:.2f}), "
        f"linear model on raw input {arms['linear_raw']['accuracy']:.2f}, "
        f"trained from scratch {arms['scratch']['accuracy']:.2f}, "
        f"random weights {arms['random_features']['accuracy']:.2f}, majority {arms['majority']['accuracy']:.2f}, "
        f"current version {arms['current']['accuracy']:.2f}: transfer helps."
    )
    assert "is off by" in report_documents.regression()["headline"]
    assert "mean average precision" in report_documents.multilabel()["headline"]


def interval(low: float, high: float) -> dict[str, Any]:
    return {"value": (low + high) / 2, "interval": {"low": low, "high": high}}


@pytest.mark.parametrize(
    ("differences", "verdict"),
    [
        ({}, None),
        ({"majority": interval(0.1, 0.2)}, None),
        ({"linear_raw": interval(0.1, 0.2), "scratch": interval(0.1, 0.2)}, "transfer helps"),
        ({"linear_raw": interval(-0.1, 0.2), "scratch": interval(-0.1, 0.2)}, "no reliable difference"),
        (
            {"linear_raw": interval(0.1, 0.2), "scratch": interval(-0.1, 0.2)},
            "no reliable difference to trained from scratch",
        ),
        ({"linear_raw": interval(0.1, 0.2), "scratch": interval(-0.2, -0.1)}, "training from scratch is better"),
    ],
)
def test_transfer_helps_only_if_it_beats_all_that_do_without(differences: dict[str, Any], verdict: str | None) -> None:
    assert transfer(differences) == verdict


def test_the_document_survives_json_and_holds_no_numbers_json_does_not_know() -> None:
    report = report_documents.regression()
    report["values"]["r2"] = [np.float64("nan")]
    report["labels"].append("\ud800")
    read = json.loads(to_json(report))
    assert read["values"]["r2"] == [None]
    assert read["format"] == "graft-report/v2"
    assert read["result"]["key"] == "mae"
    assert list(read)[:5] == ["format", "model", "task", "headline", "verdict"]


def test_a_model_without_figures_says_so(manifest_of_an_image_head: Manifest) -> None:
    report = report_documents.document(
        model="m", labels=("a", "b"), evaluated={}, decision={"verdict": "insufficient", "reasons": [], "checks": []},
        recipe={}, dataset=None, timings={}, notes=(),
    )  # fmt: skip
    assert report["headline"] == "m was taken as it is and not evaluated."
    assert report["manner"] == "as_it_is"
    card = model_card(report, manifest_of_an_image_head)
    assert card["metric"] is None
    assert card["licence"].startswith("not stated")


def test_the_card_says_what_a_user_has_to_know(manifest_of_an_image_head: Manifest) -> None:
    report = report_documents.multiclass(3, 60)
    report["base"]["licence"] = "Apache-2.0"
    card = model_card(report, manifest_of_an_image_head)
    assert card["purpose"] == "classifies one image as one of 3 classes"
    assert card["licence"] == "Apache-2.0"
    own = report["arms"]["candidate"]
    assert (card["metric"]["value"], card["metric"]["low"]) == (own["value"], own["low"])
    assert card["data"]["digest"] == report["dataset"]["digest"]
    # What is not proven is a limit too.
    assert any("below 100" in limit for limit in card["limits"])


def test_a_root_names_a_set_of_items() -> None:
    root = merkle_root(["a", "b", "c"])
    assert root == merkle_root(["c", "a", "b"])
    assert len({root, merkle_root(["a", "b"]), merkle_root(["a", "b", "c", "c"]), merkle_root([])}) == 4
    assert merkle_root(["a"]) != merkle_root(["b"])


def test_an_inner_node_is_no_item() -> None:
    import hashlib

    leaves = [hashlib.sha256(b"\x00" + digest.encode()).digest() for digest in ("a", "b")]
    assert merkle_root(["a", "b"]) == hashlib.sha256(b"\x01" + b"".join(leaves)).hexdigest()


def test_the_lineage_tells_all_that_is_needed_to_make_it_again(manifest_of_an_image_head: Manifest) -> None:
    report = report_documents.multiclass(3, 60)
    digests = [f"d{n}" for n in range(10)]
    sides = {"train": [0, 1, 2, 3, 4, 5], "validation": [], "test": [6, 7, 8, 9]}
    found = lineage(report, manifest_of_an_image_head, digests=digests, split=sides)
    assert found["format"] == "graft-lineage/v2"
    assert found["dataset"]["root"] == merkle_root(digests)
    assert found["split"] == split_digests(digests, {side: sides[side] for side in ("train", "test")})
    assert found["unfrozen"] == ["block5_conv1", "block5_conv2", "head"]
    assert found["seeds"] == {"recipe": 7}
    assert {"tensorflow", "keras", "numpy"} <= set(found["libraries"])
    assert found["machine"]["processor"]
    assert found["code"] == code_digest()
    assert "CPU" in found["deterministic"]


def test_a_tuned_model_that_was_not_kept_has_unfrozen_nothing(manifest_of_an_image_head: Manifest) -> None:
    report = report_documents.multiclass(3, 60)
    report["finetune"]["kept"] = False
    assert lineage(report, manifest_of_an_image_head)["unfrozen"] == []


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (figure(0.000_173), "0.000173"),
        (figure(11.44), "11.4"),
        (figure(12_345.6), "12 346"),
        (figure(-0.5), "−0.500"),
        (figure(0.0), "0"),
        (figure(1.5e-7), "1.50e−7"),
        (figure(2.5e9), "2.50e9"),
        (figure(float("nan")), "–"),
        (share(0.97), "0.970"),
        (signed(share(0.03)), "+0.030"),
        (signed(share(-0.03)), "−0.030"),
        (whole(14_781_642), "14 781 642"),
        (seconds(0.0), "0 ms"),
        (seconds(0.0996), "0.1 s"),
        (seconds(9.96), "10 s"),
        (seconds(125), "2 min 5 s"),
        (seconds(7_260), "2 h 1 min"),
        (megabytes(1_536), "1.5 GB"),
        (plural(1, "item"), "1 item"),
        (plural(2, "class", "classes"), "2 classes"),
    ],
)
def test_figures_as_words(words: str, expected: str) -> None:
    assert words == expected


def test_the_headline_of_a_base_has_no_baselines() -> None:
    arm = {"accuracy": 1.0, "accuracy_low": 0.98, "accuracy_high": 1.0, "items": 180}
    evaluated = {"arms": {"candidate": arm, "majority": {**arm, "accuracy": 0.2}}, "differences": {}}
    said = headline("digits", evaluated)
    assert said == "digits answers 1.000 of 180 sealed items right (95 % interval 0.98-1.00), majority 0.20."
