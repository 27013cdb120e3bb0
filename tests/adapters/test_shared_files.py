"""References lead to plain files below the shared directory, and nowhere else."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from service.adapters.shared_files import SharedDirectory
from service.domain.errors import InvalidInput, NoRoom, UploadTooLarge


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "shared"
    (root / "set").mkdir(parents=True)
    (root / "set" / "flowers.zip").write_bytes(b"petals" * 1000)
    (tmp_path / "secret").write_text("secret")
    (root / "link").symlink_to(tmp_path / "secret")
    (root / "folder").symlink_to(tmp_path)
    (root / "empty").touch()
    os.mkfifo(root / "pipe")
    return root


def test_a_file_is_copied_and_then_ours(root: Path, tmp_path: Path) -> None:
    into = tmp_path / "into"
    SharedDirectory(root).copy("set/flowers.zip", into, 6000, lambda: True)
    (root / "set" / "flowers.zip").write_bytes(b"weeds")
    assert into.read_bytes() == b"petals" * 1000
    assert into.stat().st_nlink == 1
    SharedDirectory(root).copy("empty", into, 6000, lambda: True)
    assert into.read_bytes() == b""


@pytest.mark.parametrize(
    "reference",
    [
        "", ".", "..", "/etc/passwd", "../secret", "set/../../secret", "set//flowers.zip", "./set/flowers.zip", "set/",
        "link", "folder/secret", "pipe", "set", "set/nothing.zip", "set\0x", "x" * 5000, "set/flowers.zip/more",
    ],
)  # fmt: skip
def test_nothing_else_can_be_referred_to(reference: str, root: Path, tmp_path: Path) -> None:
    into = tmp_path / "into"
    with pytest.raises(InvalidInput):
        SharedDirectory(root).copy(reference, into, 10**6, lambda: True)
    assert not into.exists()


def test_what_is_too_large_is_not_begun(root: Path, tmp_path: Path) -> None:
    with pytest.raises(UploadTooLarge):
        SharedDirectory(root).copy("set/flowers.zip", tmp_path / "into", 5999, lambda: True)


def test_a_full_disk_is_no_room(root: Path) -> None:
    with pytest.raises(NoRoom):
        SharedDirectory(root).copy("set/flowers.zip", Path("/dev/full"), 10**6, lambda: True)


def test_a_copy_that_nobody_waits_for_ends(root: Path, tmp_path: Path) -> None:
    SharedDirectory(root).copy("set/flowers.zip", tmp_path / "into", 10**6, lambda: False)
    assert (tmp_path / "into").read_bytes() == b""


def test_a_directory_that_is_not_there_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="nowhere"):
        SharedDirectory(tmp_path / "nowhere")
