"""How often the same test items were used is told by the reports of earlier versions."""

from __future__ import annotations

import json
from pathlib import Path

from service.domain.artifact import REPORT
from training.sealed_use import digest_of, uses


def publish(model: Path, version: str, text: str) -> None:
    path = model / version / REPORT
    path.parent.mkdir(parents=True)
    path.write_text(text)


def test_uses_are_counted_by_what_is_told_not_by_what_is_left(tmp_path: Path) -> None:
    same = digest_of(["b", "a"])
    assert same == digest_of(["a", "b"])
    assert uses(tmp_path / "model", same) == 1
    publish(tmp_path / "model", "3", json.dumps({"test": {"digest": same, "uses": 7}}))
    publish(tmp_path / "model", "4", json.dumps({"test": {"digest": digest_of(["c"]), "uses": 9}}))
    publish(tmp_path / "model", "5", "{")
    publish(tmp_path / "model", ".new", json.dumps({"test": {"digest": same, "uses": 70}}))
    assert uses(tmp_path / "model", same) == 8
