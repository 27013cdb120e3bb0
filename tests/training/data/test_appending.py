"""A dataset and more of its kind: one file, item for item what both were, and refused where they contradict."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from labelled_data import some_png, write_csv, write_jsonl, write_zip

from service.domain.dataset import DatasetReport
from service.domain.learning import LearningTask
from training.data.check import check
from training.data.contents import Contents

A = [(f"a/{number}.png", some_png(number)) for number in range(6)]
B = [(f"b/{number}.png", some_png(100 + number)) for number in range(6)]


def appended(old: Path, new: Path, *flags: str) -> tuple[dict[str, Any], Path]:
    """In a process of its own, as it always is: it bounds the memory that its process may take."""
    out = old.with_name("joined")
    command = [sys.executable, "-m", "training", "append", str(old), str(new), f"--out={out}", *flags]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    said: dict[str, Any] = json.loads(told)
    return said, out


def faults(said: dict[str, Any]) -> list[tuple[str, str]]:
    return [(fault["code"], fault["place"]) for fault in said["report"]["faults"]]


def identities(contents: Contents | None) -> Counter[tuple[str, str]]:
    assert contents is not None
    return Counter(zip(contents.digests, contents.labels, strict=True))


def test_images_are_joined_byte_for_byte_and_known_ones_left_out(tmp_path: Path) -> None:
    old = write_zip(tmp_path / "old.zip", [*A[:4], *B[:4]])
    # By itself the new file could not be learned from: it has one class.
    new = write_zip(tmp_path / "new.zip", [*A[3:], ("a/again.png", A[5][1])])
    said, out = appended(old, new)
    assert (said["added"], said["known"], faults(said)) == (2, 2, [])
    report, contents = check(out)
    assert report == DatasetReport.from_dict(said["report"])
    expected, whole = check(write_zip(tmp_path / "whole.zip", [*A, *B[:4]]))
    assert report.digest == expected.digest
    assert identities(contents) == identities(whole)
    assert contents is not None
    assert [*contents.encoded(range(10))] == [data for _, data in [*A[:4], *B[:4], *A[4:]]]
    # The same again is the same file.
    before = out.read_bytes()
    appended(old, new)
    assert out.read_bytes() == before


def test_an_item_that_comes_with_another_label_is_a_fault_with_both_places(tmp_path: Path) -> None:
    old = write_zip(tmp_path / "old.zip", [*A, *B])
    new = write_zip(tmp_path / "new.zip", [("b/1.png", A[0][1]), ("b/2.png", A[1][1]), ("b/3.png", some_png(300))])
    said, out = appended(old, new)
    assert faults(said) == [("conflicting_labels", "b/1.png"), ("conflicting_labels", "b/2.png")]
    assert "there already (a/0.png), labelled 'a' and not 'b'" in said["report"]["faults"][0]["message"]
    assert said["report"]["digest"] is None
    assert not out.exists()


def test_where_nothing_is_new_there_is_no_file(tmp_path: Path) -> None:
    old = write_zip(tmp_path / "old.zip", [*A, *B])
    said, out = appended(old, write_zip(tmp_path / "new.zip", A[:2]))
    assert (said["added"], said["known"]) == (0, 2)
    assert said["report"]["digest"] == check(old)[0].digest
    assert not out.exists()


def test_faults_of_the_new_file_are_told_in_its_own_places(tmp_path: Path) -> None:
    old = write_zip(tmp_path / "old.zip", [*A, *B])
    said, _ = appended(old, write_zip(tmp_path / "new.zip", [("a/x.png", b"no image"), ("a/y.png", b"")]))
    assert {place for _, place in faults(said)} == {"a/x.png", "a/y.png"}


NUMBERS = [[0.1, 1e-30, "x"], [2.5, -3, "x"], [4, 1 / 3, "y"], [5, 7e20, "y"]]
TEXTS = [{"text": f"text {at} é", "label": "xy"[at % 2]} for at in range(8)]
TOKENS = [{"tokens": [at + 1, 5, *[7] * at], "label": "xy"[at % 2]} for at in range(8)]
SETS = [{"text": f"text {at}", "labels": [["x"], ["x", "y"], [], ["y"]][at % 4]} for at in range(8)]
NO_FOLDERS = ("up/down", ".hidden", "a\\b")
SLASHES = [{"image": base64.b64encode(some_png(at)).decode(), "label": NO_FOLDERS[at % 3]} for at in range(9)]
VALUES = [{"features": [at, at / 7], "value": at / 3} for at in range(8)]


@pytest.mark.parametrize(
    ("records", "task"),
    [(TEXTS, "multiclass"), (TOKENS, "multiclass"), (SETS, "multilabel"), (SLASHES, "multiclass"),
     (VALUES, "regression")],
    ids=["texts", "tokens", "sets", "classes that are no folders", "numbers to learn"],
)  # fmt: skip
def test_records_of_every_kind_are_what_they_were(records: list[Any], task: str, tmp_path: Path) -> None:
    half = len(records) // 2
    old = write_jsonl(tmp_path / "old.jsonl", records[: half + 2])
    new = write_jsonl(tmp_path / "new.jsonl", records[half:])
    said, out = appended(old, new, f"--task={task}")
    assert (said["added"], said["known"]) == (len(records) - half - 2, 2)
    label = said["options"].get("label")
    assert said["options"].get("task", "multiclass") == task
    report, contents = check(out, label=label, task=LearningTask(task))
    expected, whole = check(write_jsonl(tmp_path / "whole.jsonl", records), task=LearningTask(task))
    assert identities(contents) == identities(whole)
    assert report.digest == expected.digest


def test_tables_keep_their_columns_whatever_their_order(tmp_path: Path) -> None:
    old = write_csv(tmp_path / "old.csv", [["a", "b", "kind"], *NUMBERS])
    new = write_csv(tmp_path / "new.csv", [["kind", "b", "a"], ["x", 9, 8], ["y", -3, 2.5]])
    said, _ = appended(old, new, "--old-label=kind", "--label=kind")
    # With the columns in their right places the second row is one that is there, under another label.
    assert faults(said) == [("conflicting_labels", "row 3")]
    new = write_csv(tmp_path / "new.csv", [["kind", "b", "a"], ["x", 9, 8], ["x", -3, 2.5]])
    said, out = appended(old, new, "--old-label=kind", "--label=kind")
    assert (said["added"], said["known"]) == (1, 1)
    _, contents = check(out)
    assert contents is not None
    assert contents.numbers is not None
    assert contents.columns == ("a", "b")
    expected = np.array([row[:2] for row in [*NUMBERS, [8, 9]]], dtype=np.float32)
    assert contents.numbers.tolist() == expected.tolist()


@pytest.mark.parametrize(
    ("header", "rows"),
    [(["a", "label"], [[1, "x"]]), (["a", "c", "label"], [[1, 2, "x"]]), (["text", "label"], [["hello", "x"]])],
    ids=["narrower", "other columns", "other kind"],
)
def test_data_of_another_kind_is_refused(header: list[str], rows: list[list[Any]], tmp_path: Path) -> None:
    old = write_csv(tmp_path / "old.csv", [["a", "b", "label"], *NUMBERS])
    said, out = appended(old, write_csv(tmp_path / "new.csv", [header, *rows]))
    assert said["report"]["fault_count"] >= 1
    assert not out.exists()
