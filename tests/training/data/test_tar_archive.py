"""Tar archives of class folders: the contents of a zip of them, and no trick that an archive could play."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from labelled_data import some_png, write_zip

from service.domain.dataset import DatasetFormat
from training.data.check import check
from training.data.tar_members import BLOCK

FILES = [(f"{label}/{number}.png", some_png(10 * at + number)) for at, label in enumerate("ab") for number in range(6)]


def tar(files: list[tuple[str, bytes]], format: int = tarfile.PAX_FORMAT, folders: tuple[str, ...] = ()) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=format) as archive:
        for name in folders:
            info = tarfile.TarInfo(name)
            info.type = tarfile.DIRTYPE
            archive.addfile(info)
        for name, data in files:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return stream.getvalue()


def special(type: bytes, name: str = "a/odd.png", link: str = "/etc/passwd") -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        info = tarfile.TarInfo(name)
        info.type, info.linkname = type, link
        archive.addfile(info)
    return stream.getvalue()[:BLOCK] + tar(FILES)


def written(tmp_path: Path, data: bytes, name: str = "x.tar") -> Path:
    path = tmp_path / name
    path.write_bytes(data)
    return path


def codes(tmp_path: Path, data: bytes) -> list[tuple[str, str]]:
    report, contents = check(written(tmp_path, data))
    assert contents is None
    return [(fault.code, fault.place) for fault in report.faults]


@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_tar_has_the_contents_of_the_zip(format: int, pack: Callable[[bytes], bytes], tmp_path: Path) -> None:
    long = "set/" + "folder" * 20 + "/"
    files = [(f"{long}{name.rpartition('/')[0]}/{name.rpartition('/')[2]}", data) for name, data in FILES]
    files = [(name.replace(long, "set/"), data) for name, data in files] if format == tarfile.USTAR_FORMAT else files
    files = [(name.replace(long, f"{'w' * 120}/"), data) for name, data in files]
    report, contents = check(written(tmp_path, pack(tar(files, format))))
    assert not report.faults, report.faults
    assert report.format is DatasetFormat.TAR
    other, expected = check(write_zip(tmp_path / "x.zip", files))
    assert contents is not None
    assert expected is not None
    assert (report.digest, report.classes) == (other.digest, {"a": 6, "b": 6})
    assert other.classes == report.classes
    order = [7, 0, 11, 0]
    assert list(contents.encoded(order)) == list(expected.encoded(order)) == [FILES[item][1] for item in order]
    assert contents.place(0) == files[0][0]


def test_an_empty_class_folder_is_a_class_without_items(tmp_path: Path) -> None:
    assert codes(tmp_path, tar(FILES, folders=("a", "b", "c"))) == [("class_too_small", "c")]


@pytest.mark.parametrize(
    ("type", "words"),
    [(tarfile.SYMTYPE, "symbolic link"), (tarfile.LNKTYPE, "hard link"), (tarfile.CHRTYPE, "character device"),
     (tarfile.BLKTYPE, "block device"), (tarfile.FIFOTYPE, "pipe"), (b"Z", "entry of type")],
    ids=["symbolic link", "hard link", "character device", "block device", "pipe", "unknown"],
)  # fmt: skip
def test_what_is_no_file_is_a_fault(type: bytes, words: str, tmp_path: Path) -> None:
    report, _ = check(written(tmp_path, special(type)))
    assert [(fault.code, fault.place) for fault in report.faults] == [("not_a_file", "a/odd.png")]
    assert words in report.faults[0].message


def test_a_path_that_leads_out_of_the_archive_is_a_fault(tmp_path: Path) -> None:
    bad = [("../a/1.png", some_png(90)), ("/a/2.png", some_png(91)), ("a/../../b/3.png", some_png(92))]
    assert codes(tmp_path, tar([*FILES, *bad])) == [("unsafe_path", name) for name, _ in bad]


def test_a_name_that_is_there_twice_is_a_fault(tmp_path: Path) -> None:
    assert codes(tmp_path, tar([*FILES, ("a/0.png", some_png(99))])) == [("name_twice", "a/0.png")]


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize("keep", [0.2, 0.4, 0.55])
def test_an_archive_that_was_cut_off_is_a_fault(keep: float, pack: Callable[[bytes], bytes], tmp_path: Path) -> None:
    whole = pack(tar(FILES))
    assert codes(tmp_path, whole[: int(len(whole) * keep)]) == [("not_an_archive", "file")]


def test_an_archive_without_its_end_mark_is_a_fault(tmp_path: Path) -> None:
    assert codes(tmp_path, tar(FILES).rstrip(b"\0") + bytes(BLOCK)) == [("not_an_archive", "file")]


def test_something_behind_the_end_is_a_fault(tmp_path: Path) -> None:
    assert codes(tmp_path, tar(FILES) + tar(FILES)) == [("not_an_archive", "file")]


def test_gzip_whose_checksum_is_wrong_is_a_fault(tmp_path: Path) -> None:
    packed = bytearray(gzip.compress(tar(FILES)))
    packed[-8] ^= 1
    assert codes(tmp_path, bytes(packed)) == [("not_an_archive", "file")]


def header(**fields: object) -> bytearray:
    info = tarfile.TarInfo("a/1.png")
    for name, value in fields.items():
        setattr(info, name, value)
    return bytearray(info.tobuf(tarfile.GNU_FORMAT))


def sealed(block: bytearray) -> bytes:
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


@pytest.mark.parametrize(
    "kind", [tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGLINK],
    ids=["long name", "extended", "global", "long link"],
)  # fmt: skip
def test_a_name_of_a_gigabyte_is_not_read(kind: bytes, tmp_path: Path) -> None:
    block = header(size=2**30)
    block[156:157] = kind
    report, _ = check(written(tmp_path, sealed(block) + tar(FILES)))
    assert [fault.code for fault in report.faults] == ["not_an_archive"]
    assert "at most 65536 are read" in report.faults[0].message


def test_a_bomb_is_refused_long_before_it_has_inflated(tmp_path: Path) -> None:
    block = sealed(header(size=2**31))
    bomb = gzip.compress(block + bytes(70 * 2**20), 9)
    assert len(bomb) < 100_000
    report, _ = check(written(tmp_path, bomb))
    assert "more than 67108864 bytes" in report.faults[0].message


@pytest.mark.parametrize("at", [0, 100, 124, 148, 156, 257, 300])
def test_a_header_that_was_changed_is_noticed(at: int, tmp_path: Path) -> None:
    data = bytearray(tar(FILES))
    second = BLOCK + -(-len(FILES[0][1]) // BLOCK) * BLOCK
    data[second + at] ^= 0x15
    assert codes(tmp_path, bytes(data)) == [("not_an_archive", "file")]


def test_extended_headers_that_lie_are_noticed(tmp_path: Path) -> None:
    for text in (b"99 path=a/1.png\n", b"x path=a\n", b"16 size=-12345\n", b"10 pathab\n"):
        block = header(size=len(text))
        block[156:157] = tarfile.XHDTYPE
        data = sealed(block) + text.ljust(BLOCK, b"\0") + tar(FILES)
        assert codes(tmp_path, data) == [("not_an_archive", "file")]


def test_gzip_of_something_else_is_no_format(tmp_path: Path) -> None:
    assert codes(tmp_path, gzip.compress(b"x,label\n1,a\n" * 100)) == [("unknown_format", "file")]
