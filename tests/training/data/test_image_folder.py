"""A folder of images on the disk: read as an archive would be, and never out of itself."""

from __future__ import annotations

import os
from pathlib import Path

from labelled_data import some_png, two_classes, write_zip

from service.domain.dataset import DatasetFormat
from service.domain.learning import LearningTask
from training.data.check import check


def folder(root: Path) -> Path:
    for name, data in two_classes():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return root


def test_a_folder_is_the_same_data_as_its_archive(tmp_path: Path) -> None:
    report, contents = check(folder(tmp_path / "images"))
    packed, _ = check(write_zip(tmp_path / "a.zip", two_classes()))
    assert report.format is DatasetFormat.IMAGE_DIR
    assert report.digest == packed.digest is not None
    assert contents is not None
    assert list(contents.encoded([4])) == [two_classes()[4][1]]
    assert contents.place(4) == "dog/1.png"


def test_links_pipes_and_deep_folders_are_faults(tmp_path: Path) -> None:
    root = folder(tmp_path / "images")
    (tmp_path / "secret.png").write_bytes(some_png(77))
    (root / "cat" / "link.png").symlink_to(tmp_path / "secret.png")
    (root / "loop").symlink_to(root)
    os.mkfifo(root / "dog" / "pipe.png")
    (root / "cat" / "more").mkdir()
    (root / "cat" / "more" / "x.png").write_bytes(some_png(78))
    (root / "dog" / "unreadable.png").write_bytes(b"")
    report, contents = check(root)
    assert contents is None
    assert {(fault.code, fault.place) for fault in report.faults} == {
        ("link", "cat/link.png"),
        ("link", "loop"),
        ("unreadable_entry", "dog/pipe.png"),
        ("nested_folder", "cat/more/x.png"),
        ("unreadable_image", "dog/unreadable.png"),
    }


def test_folders_cannot_hold_what_other_tasks_learn(tmp_path: Path) -> None:
    report, _ = check(folder(tmp_path / "images"), task=LearningTask.REGRESSION)
    assert [fault.code for fault in report.faults] == ["wrong_task"]
    report, _ = check(tmp_path / "images", DatasetFormat.CSV)
    assert [fault.code for fault in report.faults] == ["unknown_format"]
