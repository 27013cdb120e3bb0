"""What a directory of uploads holds after kill -9, torn journals and full disks."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from service.adapters.upload_directory import UploadDirectory
from service.adapters.upload_directory.directory import CONTENT
from service.adapters.upload_directory.journal import JOURNAL
from service.domain.errors import NoRoom, Overloaded, UploadNotFound
from service.domain.uploads import Upload

ID = "up-" + "0123456789" * 2


def begun(directory: UploadDirectory, id: str = ID, size: int | None = 30) -> Upload:
    upload = Upload(id, "f.zip", 10, created=1000.0, expires=1500.0, size=size, options={"label": "y"})
    directory.add(upload, lambda there, free: None)
    return upload


def put(directory: UploadDirectory, number: int, data: bytes, at: float = 1001.0) -> None:
    with directory.receive(directory.upload(ID), number, 10) as part:
        part.write(data)
        part.keep(at)


def test_what_was_begun_is_found_again_as_it_was(tmp_path: Path) -> None:
    upload = begun(UploadDirectory(tmp_path))
    assert UploadDirectory(tmp_path).upload(ID) == upload
    assert UploadDirectory(tmp_path).uploads() == [upload]


def test_a_part_lies_at_its_place_and_gives_a_new_term(tmp_path: Path) -> None:
    directory = UploadDirectory(tmp_path)
    begun(directory)
    put(directory, 3, b"c" * 10, at=1200.0)
    found = directory.upload(ID)
    assert (list(found.parts), found.expires, found.missing) == ([3], 1700.0, [1, 2])
    assert (tmp_path / ID / CONTENT).read_bytes() == bytes(20) + b"c" * 10


def test_a_part_that_was_not_kept_is_not_there(tmp_path: Path) -> None:
    directory = UploadDirectory(tmp_path)
    upload = begun(directory)
    with directory.receive(upload, 1, 10) as part:
        part.write(b"x" * 10)
    assert directory.upload(ID) == upload


def test_parts_are_locked_one_by_one_and_all_with_the_whole(tmp_path: Path) -> None:
    directory, other = UploadDirectory(tmp_path), UploadDirectory(tmp_path)
    upload = begun(directory)
    with directory.receive(upload, 1, 10):
        with pytest.raises(Overloaded), other.receive(upload, 1, 10):
            pass
        with other.receive(upload, 2, 10), pytest.raises(Overloaded), other.whole(ID):
            pass
        with pytest.raises(Overloaded):
            other.discard(ID)
    with other.whole(ID) as file:
        assert file.stat().st_size == 30
        with pytest.raises(Overloaded), directory.receive(upload, 1, 10):
            pass
    other.discard(ID)
    with pytest.raises(UploadNotFound), directory.receive(upload, 1, 10):
        pass


def test_a_line_that_a_power_failure_tore_swallows_no_other(tmp_path: Path) -> None:
    directory = UploadDirectory(tmp_path)
    begun(directory)
    put(directory, 1, b"a" * 10)
    with (tmp_path / ID / JOURNAL).open("ab") as journal:
        journal.write(b'{"part": 2, "bytes": 1')
    assert list(directory.upload(ID).parts) == [1]
    put(directory, 3, b"c" * 10)
    assert list(directory.upload(ID).parts) == [1, 3]


def test_who_admits_is_told_what_others_were_promised(tmp_path: Path) -> None:
    directory = UploadDirectory(tmp_path)
    begun(directory)
    put(directory, 1, b"a" * 10)
    told: list[tuple[Sequence[Upload], int]] = []

    def refuse(there: Sequence[Upload], free: int) -> None:
        told.append((there, free))
        raise NoRoom("none")

    with pytest.raises(NoRoom):
        directory.add(Upload("up-" + "1" * 20, "f", 10, 0.0, 1.0), refuse)
    ((there, free),) = told
    assert [upload.id for upload in there] == [ID]
    assert free < os.statvfs(tmp_path).f_bavail * os.statvfs(tmp_path).f_frsize + 2**30
    assert [path.name for path in tmp_path.iterdir() if path.name != "lock"] == [ID]


def test_a_full_disk_is_no_room_and_the_part_was_never_there(tmp_path: Path) -> None:
    directory = UploadDirectory(tmp_path)
    upload = begun(directory)
    (tmp_path / ID / CONTENT).unlink()
    (tmp_path / ID / CONTENT).symlink_to("/dev/full")
    with pytest.raises(NoRoom), directory.receive(upload, 1, 10) as part:
        part.write(b"x" * 10)
    assert directory.upload(ID).parts == {}


PROGRAM = """
import json, sys
from pathlib import Path
from service.adapters.upload_directory import UploadDirectory
directory = UploadDirectory(Path(sys.argv[1]))
upload = directory.upload(sys.argv[2])
number = 0
while True:
    number += 1
    with directory.receive(upload, number, 10) as part:
        part.write(b"0123456789")
        part.keep(float(number))
    print(number, flush=True)
"""


@pytest.mark.parametrize("after", [1, 7, 40])
def test_what_was_answered_for_survives_kill_9(after: int, tmp_path: Path) -> None:
    directory = UploadDirectory(tmp_path)
    begun(directory, size=None)
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, tmp_path, ID], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    answered = [int(process.stdout.readline()) for _ in range(after)]
    process.send_signal(signal.SIGKILL)
    answered += [int(line) for line in process.stdout.read().split()]
    process.stdout.close()
    process.wait()
    found = directory.upload(ID)
    assert set(answered) <= set(found.parts)
    content = (tmp_path / ID / CONTENT).read_bytes()
    for number in found.parts:
        assert content[(number - 1) * 10 : number * 10] == b"0123456789"
    # The lock died with it.
    put(directory, max(found.parts) + 1, b"next")


def test_what_was_left_half_made_or_half_removed_is_swept(tmp_path: Path) -> None:
    directory = UploadDirectory(tmp_path)
    upload = begun(directory)
    for name in (".new-up-1", ".gone-1"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "content").write_text("x")
    assert directory.sweep() == 2
    assert directory.uploads() == [upload]
    assert json.loads((tmp_path / ID / "upload.json").read_text())["term_s"] == 500.0
