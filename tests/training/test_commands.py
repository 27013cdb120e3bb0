"""The commands as a person and a program type them."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from labelled_data import two_classes, write_zip

from service.domain.dataset import DatasetReport


def training(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "training", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_check_for_a_program(tmp_path: Path) -> None:
    file = write_zip(tmp_path / "a.zip", two_classes())
    done = training("check", file, "--json")
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) == 1
    assert DatasetReport.from_dict(json.loads(done.stdout)).items == 6
    file.write_bytes(b"")
    done = training("check", file, "--json")
    assert done.returncode == 0
    assert DatasetReport.from_dict(json.loads(done.stdout)).fault_count == 1


def test_check_for_a_person(tmp_path: Path) -> None:
    file = write_zip(tmp_path / "a.zip", two_classes())
    done = training("check", file)
    assert done.returncode == 0
    assert "no faults" in done.stdout
    bad = write_zip(tmp_path / "b.zip", [*two_classes(), ("cat/x.png", b"[odd] text")])
    done = training("check", bad)
    assert done.returncode == 1
    assert "cat/x.png" in done.stdout
    assert training("check", tmp_path / "gone.zip").returncode == 2
    assert training("check").returncode == 2


def test_a_file_that_takes_too_much_memory_is_at_fault_and_not_the_machine(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "a.npz", x=np.zeros((2**16, 2**12), np.uint8), y=np.arange(2**16) % 2)
    done = training("check", tmp_path / "a.npz", "--json", "--max-memory", 1024)
    assert done.returncode == 0, done.stderr
    (fault,) = DatasetReport.from_dict(json.loads(done.stdout)).faults
    assert fault.code == "too_large"
    assert "too large to check" in fault.message


def test_check_against_a_base(base_repository, digits_file: Path, tmp_path: Path) -> None:
    assert training("check", digits_file, "--base", base_repository.base).returncode == 0
    (tmp_path / "a.csv").write_text("a,b,label\n1,2,x\n3,4,x\n5,6,y\n7,8,y\n")
    done = training("check", tmp_path / "a.csv", "--json", "--base", base_repository.base)
    report = DatasetReport.from_dict(json.loads(done.stdout))
    assert [fault.code for fault in report.faults] == ["wrong_width"]
    assert report.digest is None


def test_a_check_needs_no_tensorflow(digits_file: Path) -> None:
    code = (
        "import sys; from training.__main__ import main; status = main(sys.argv[1:]); "
        "sys.exit(status or any(name in sys.modules for name in ('tensorflow', 'keras', 'sklearn', 'scipy')))"
    )
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code, "check", str(digits_file), "--json"], capture_output=True)
    assert done.returncode == 0
    assert time.monotonic() - began < 20


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("nothing",), "neither a preset"),
        (("digits", "--only", "head"), "train it first"),
        (("digits", "--set", "head.l3=1"), "there are"),
    ],
)
def test_train_says_what_is_wrong(tmp_path: Path, arguments: tuple[str, ...], words: str) -> None:
    done = training("train", *arguments, "--repository", tmp_path)
    assert done.returncode == 1
    assert words in " ".join(done.stdout.split())
    assert list(tmp_path.iterdir()) == []


def test_train_a_head_from_a_recipe_file(base_repository, digits_file: Path, tmp_path: Path) -> None:
    (tmp_path / "repo").mkdir()
    (tmp_path / "repo" / "digits").symlink_to(base_repository.root / "digits")
    recipe = {
        "apiVersion": "transfer/v1",
        "name": "fives",
        "base": {"kind": "version", "ref": "digits@1"},
        "dataset": {"uri": str(digits_file)},
    }
    (tmp_path / "r.json").write_text(json.dumps(recipe))
    done = training("train", tmp_path / "r.json", "--repository", tmp_path / "repo", "--set", "head.l2=1")
    assert done.returncode == 0, done.stderr
    text = " ".join(done.stdout.split())
    assert "fives answers" in text
    assert "gate: insufficient" in text
    assert "published as fives, version 1" in text
    assert done.stderr == ""
    with np.load(tmp_path / "repo" / "fives" / "1" / "assets.extra" / "graft" / "head.npz") as head:
        assert head["weights"].shape[0] == 5
