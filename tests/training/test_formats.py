"""Every fault of every format is found, in one go, with its place."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from labelled_data import npy, png, some_png, two_classes, write_csv, write_zip
from PIL import Image

from service.domain.artifact import InputKind, InputSpec
from service.domain.dataset import MOST_FAULTS_SHOWN, DatasetFormat, DatasetReport, misfits
from training.data import image_archive
from training.data.check import check
from training.data.findings import LONGEST_TEXT, MOST_WARNINGS_SHOWN
from training.export.graph import decode_images


def faults(report: DatasetReport) -> set[tuple[str, str]]:
    return {(fault.code, fault.place) for fault in report.faults}


def warnings(report: DatasetReport) -> set[str]:
    return {warning.code for warning in report.warnings}


HEADER = ["a", "b", "label"]
SOUND_ROWS = [HEADER, [1, 2, "x"], [3, 4, "x"], [5, 6, "y"], [7, 9, "y"]]


# --- Images -----------------------------------------------------------------------------------------------------------


def test_a_sound_archive_has_no_faults_and_its_clutter_is_ignored(tmp_path: Path) -> None:
    clutter = [("__MACOSX/cat/._0.png", b"x"), ("cat/.DS_Store", b"x"), ("dog/Thumbs.db", b"x"), (".git/x/y.png", b"")]
    report, contents = check(write_zip(tmp_path / "a.zip", two_classes() + clutter))
    assert report.faults == ()
    assert (report.format, report.kind, report.shape) == (DatasetFormat.ZIP, InputKind.IMAGE, None)
    assert dict(report.classes) == {"cat": 3, "dog": 3}
    assert contents is not None
    assert next(contents.encoded([4])) == two_classes()[4][1]


def test_one_wrapping_folder_is_allowed(tmp_path: Path) -> None:
    entries = [(f"photos/{name}", data) for name, data in two_classes()] + [("photos/README.txt", b"hello")]
    report, _ = check(write_zip(tmp_path / "a.zip", entries))
    assert report.faults == ()
    assert dict(report.classes) == {"cat": 3, "dog": 3}
    assert "ignored_file" in warnings(report)


def test_every_fault_of_an_archive_is_found_at_once(tmp_path: Path) -> None:
    whole = some_png(7, size=32)
    gif = io.BytesIO()
    Image.new("L", (4, 4)).save(gif, "GIF")
    entries = [
        *two_classes(),
        ("cat/cut.png", whole[: len(whole) // 2]),
        ("cat/text.png", b"no image"),
        ("cat/empty.jpg", b""),
        ("dog/notes.txt", b"no image"),
        ("dog/moving.gif", gif.getvalue()),
        ("dog/more/deep.png", whole),
        ("loose.png", whole),
        ("bird/one.png", some_png(99)),
        ("../out/x.png", whole),
        ("fish/", b""),
    ]
    report, contents = check(write_zip(tmp_path / "a.zip", entries))
    assert contents is None
    assert report.digest is None
    assert faults(report) == {
        ("unreadable_image", "cat/cut.png"),
        ("unreadable_image", "cat/text.png"),
        ("unreadable_image", "cat/empty.jpg"),
        ("unsupported_file", "dog/notes.txt"),
        ("unsupported_file", "dog/moving.gif"),
        ("nested_folder", "dog/more/deep.png"),
        ("no_class_folder", "loose.png"),
        ("class_too_small", "bird"),
        ("class_too_small", "fish"),
        ("unsafe_path", "../out/x.png"),
    }


def test_a_flipped_bit_is_found(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", two_classes())
    raw = bytearray(path.read_bytes())
    raw[raw.index(two_classes()[1][1]) + 40] ^= 0xFF
    path.write_bytes(raw)
    report, _ = check(path)
    assert faults(report) == {("unreadable_entry", "cat/1.png")}


@pytest.mark.parametrize(
    ("entries", "code"),
    [([], "no_classes"), ([("README", b"x")], "no_classes"), (two_classes()[:3], "one_class")],
)
def test_archives_without_two_classes(tmp_path: Path, entries: list[tuple[str, bytes]], code: str) -> None:
    report, _ = check(write_zip(tmp_path / "a.zip", entries))
    assert code in {fault.code for fault in report.faults}


def test_a_decompression_bomb_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    header = bytearray(png(np.zeros((1, 1))))
    header[16:24] = (60_000).to_bytes(4, "big") * 2
    report, _ = check(write_zip(tmp_path / "a.zip", [*two_classes(), ("cat/bomb.png", bytes(header))]))
    assert [fault.place for fault in report.faults] == ["cat/bomb.png"]


def test_an_entry_that_unpacks_to_too_much_is_read_no_further(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", two_classes())
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("cat/zeros.png", bytes(image_archive.LARGEST_ITEM + 1))
    assert path.stat().st_size < 2**20
    report, _ = check(path)
    assert faults(report) == {("too_large", "cat/zeros.png")}


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_an_entry_whose_packing_is_broken_is_a_fault_at_its_place(tmp_path: Path, method: int) -> None:
    path = write_zip(tmp_path / "a.zip", two_classes())
    noise = np.random.default_rng(0).bytes(500)
    with zipfile.ZipFile(path, "a", method) as archive:
        archive.writestr("cat/x.png", noise)
        start = archive.getinfo("cat/x.png").header_offset + 30 + len("cat/x.png")
    raw = bytearray(path.read_bytes())
    raw[start : start + 40] = b"\xff" * 40
    path.write_bytes(raw)
    report, _ = check(path)
    assert faults(report) == {("unreadable_entry", "cat/x.png")}


@pytest.mark.parametrize(("at", "value"), [(6, b"\x63"), (46, b"\xff\xfe")])
def test_an_archive_whose_directory_cannot_be_read_is_a_fault(tmp_path: Path, at: int, value: bytes) -> None:
    """A version nobody unpacks, and a name that is not in the encoding it claims."""
    path = write_zip(tmp_path / "a.zip", [("\u00e9/1.png", some_png(0))])
    raw = bytearray(path.read_bytes())
    start = raw.index(b"PK\x01\x02") + at
    raw[start : start + len(value)] = value
    path.write_bytes(raw)
    report, contents = check(path)
    assert contents is None
    assert faults(report) == {("not_an_archive", "file")}


def encoded(format: str, mode: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)).convert(mode).save(
        stream, format, **options
    )
    return stream.getvalue()


def test_a_telephones_jpeg_with_more_pictures_inside_is_taken(tmp_path: Path) -> None:
    photo = encoded("MPO", "RGB", save_all=True, append_images=[Image.new("RGB", (8, 8))])
    with Image.open(io.BytesIO(photo)) as image:
        assert image.format == "MPO"
    report, _ = check(write_zip(tmp_path / "a.zip", [*two_classes(), ("cat/photo.jpg", photo)]))
    assert report.faults == ()


def test_colours_for_print_are_refused_because_training_cannot_read_them(tmp_path: Path) -> None:
    entries = [*two_classes(), ("cat/print.jpg", encoded("JPEG", "CMYK"))]
    report, _ = check(write_zip(tmp_path / "a.zip", entries))
    assert faults(report) == {("unsupported_colours", "cat/print.jpg")}


@pytest.mark.parametrize("thin", [(1, 5000), (5000, 1), (1, 1)])
def test_an_image_too_thin_for_the_base_still_leaves_something_of_itself(thin: tuple[int, int]) -> None:
    import tensorflow as tf

    spec = InputSpec(InputKind.IMAGE, (8, 6, 1))
    pixels = decode_images(tf.constant([png(np.full(thin, 255))]), spec).numpy()
    assert pixels.shape == (1, 8, 6, 1)
    assert pixels.max() > 0


def test_warnings_are_counted_and_not_all_listed(tmp_path: Path) -> None:
    loose = [(f"{n}.txt", b"") for n in range(MOST_WARNINGS_SHOWN + 7)]
    report, _ = check(write_zip(tmp_path / "a.zip", [*loose, *two_classes()]))
    assert report.faults == ()
    ignored = [warning.message for warning in report.warnings if warning.code == "ignored_file"]
    assert len(ignored) == MOST_WARNINGS_SHOWN + 1
    assert ignored[-1] == "and 7 more of the same"
    assert "small_test" in warnings(report), "one code does not push out another"


# --- Tables -----------------------------------------------------------------------------------------------------------


def test_a_sound_table(tmp_path: Path) -> None:
    report, contents = check(write_csv(tmp_path / "a.csv", SOUND_ROWS))
    assert report.faults == ()
    assert (report.format, report.kind, report.shape) == (DatasetFormat.CSV, InputKind.VECTOR, (2,))
    assert report.columns == ("a", "b")
    assert contents is not None
    assert contents.numbers is not None
    assert contents.numbers.tolist() == [[1, 2], [3, 4], [5, 6], [7, 9]]


def test_a_byte_order_mark_and_another_label_column(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("\ufeffkind,a\n1,2\n1,3\n10,4\n10,5\n2,6\n2,7\n", encoding="utf-8")
    report, _ = check(path, label="kind")
    assert report.faults == ()
    assert list(report.classes) == ["1", "2", "10"]


def test_every_fault_of_a_table_is_found_at_once(tmp_path: Path) -> None:
    rows = [*SOUND_ROWS, ["", "nan", "x"], ["1e40", "one", "y"], [1, 2], [1, 2, 3, 4], [1, 2, ""], ["inf", "1_0", "x"]]
    report, contents = check(write_csv(tmp_path / "a.csv", rows))
    assert contents is None
    assert faults(report) == {
        ("empty_cell", "row 6, column a"),
        ("not_finite", "row 6, column b"),
        ("not_finite", "row 7, column a"),
        ("not_a_number", "row 7, column b"),
        ("ragged_row", "row 8"),
        ("ragged_row", "row 9"),
        ("empty_label", "row 10, column label"),
        ("not_finite", "row 11, column a"),
        ("not_a_number", "row 11, column b"),
    }


@pytest.mark.parametrize(
    ("header", "code", "place"),
    [
        (["a", "b", "kind"], "missing_label_column", "row 1"),
        (["a", "a", "label"], "duplicate_column", "row 1, column a"),
        (["a", "", "label"], "unnamed_column", "row 1, column 2"),
    ],
)
def test_headers_that_cannot_be_used(tmp_path: Path, header: list[str], code: str, place: str) -> None:
    report, _ = check(write_csv(tmp_path / "a.csv", [header, *SOUND_ROWS[1:]]))
    assert faults(report) == {(code, place)}
    if code == "missing_label_column":
        assert "a, b, kind" in report.faults[0].message


def test_a_table_with_faults_still_says_how_wide_it_is(tmp_path: Path) -> None:
    report, _ = check(write_csv(tmp_path / "a.csv", [*SOUND_ROWS, ["", 1, "x"]]))
    assert [fault.code for fault in misfits(report, InputSpec(InputKind.VECTOR, (3,)))] == ["wrong_width"]


def test_only_so_many_faults_are_listed_and_all_are_counted(tmp_path: Path) -> None:
    report, _ = check(write_csv(tmp_path / "a.csv", [HEADER, *[["x", "y", "z"]] * 150]))
    assert len(report.faults) == MOST_FAULTS_SHOWN
    assert report.fault_count == 301


# --- Arrays -----------------------------------------------------------------------------------------------------------

X, Y = np.arange(12.0).reshape(4, 3), np.array([0, 0, 1, 1])


@pytest.mark.parametrize("labels", [Y, np.array(["a", "a", "b", "b"]), np.array([b"a", b"a", b"b", b"b"])])
def test_sound_arrays(tmp_path: Path, labels: np.ndarray) -> None:
    np.savez(tmp_path / "a.npz", x=X, y=labels)
    report, contents = check(tmp_path / "a.npz")
    assert report.faults == ()
    assert report.format is DatasetFormat.NPZ
    assert contents is not None
    assert contents.shape == (3,)


@pytest.mark.parametrize(
    ("arrays", "expected"),
    [
        ({"x": X}, {("missing_array", "y")}),
        ({"data": X}, {("missing_array", "x"), ("missing_array", "y")}),
        ({"x": X, "y": Y[:3]}, {("length_mismatch", "y")}),
        ({"x": X, "y": Y.astype(object)}, {("unreadable_array", "y")}),
        ({"x": X, "y": Y.astype(float)}, {("wrong_type", "y")}),
        ({"x": X[:, 0], "y": Y}, {("wrong_rank", "x")}),
        ({"x": X, "y": Y[:, None]}, {("wrong_rank", "y")}),
        ({"x": X.astype(str), "y": Y}, {("wrong_type", "x")}),
        ({"x": X * [[np.nan], [1], [np.inf], [1]], "y": Y}, {("not_finite", "item 0"), ("not_finite", "item 2")}),
        ({"x": X[:0], "y": Y[:0]}, {("empty_file", "file")}),
    ],
)
def test_arrays_that_cannot_be_used(
    tmp_path: Path, arrays: dict[str, np.ndarray], expected: set[tuple[str, str]]
) -> None:
    np.savez(tmp_path / "a.npz", **arrays)
    report, _ = check(tmp_path / "a.npz")
    assert expected <= faults(report)
    assert {fault for fault in faults(report) - expected if fault[0] not in {"class_too_small", "one_class"}} == set()


GOOD_X, GOOD_Y = npy((4, 1), np.arange(4.0).tobytes()), npy((4,), np.array([0, 0, 1, 1]).tobytes(), "<i8")


@pytest.mark.parametrize(
    ("members", "places"),
    [
        ({"x.npy": npy((10**12, 64)), "y.npy": GOOD_Y}, {"x"}),
        ({"x.npy": npy((10**30, 64)), "y.npy": GOOD_Y}, {"x"}),
        ({"x.npy": npy((-5, 64)), "y.npy": GOOD_Y}, {"x"}),
        ({"x.npy": GOOD_X, "y.npy": npy((10**12,), dtype="<U0")}, {"y"}),
        ({"x.npy": b"garbage", "y.npy": b""}, {"x", "y"}),
        ({"x.npy": b"\x93NUMPY\x01\x00\xff\xff" + b"(" * 65535, "y.npy": GOOD_Y}, {"x"}),
        ({"x.npy": b"\x93NUMPY\x09\x00" + GOOD_X[8:], "y.npy": GOOD_Y}, {"x"}),
        ({"x": b"no array", "y.npy": GOOD_Y}, {"x"}),
    ],
)
def test_arrays_made_to_break_their_reader_are_faults(
    tmp_path: Path, members: dict[str, bytes], places: set[str]
) -> None:
    path = write_zip(tmp_path / "a.npz", members.items())
    report, contents = check(path, DatasetFormat.NPZ)
    assert contents is None
    assert {fault.place for fault in report.faults if fault.code == "unreadable_array"} == places
    json.dumps(report.to_dict(), ensure_ascii=False).encode()


@pytest.mark.parametrize("odd", ["\ud800", b"\xff\xfe", "a\nb", "\u202egnp", "\x1b[2J", "x" * 257])
def test_labels_that_cannot_be_shown_are_faults_and_no_classes(tmp_path: Path, odd: str | bytes) -> None:
    sound = b"ok" if isinstance(odd, bytes) else "ok"
    np.savez(tmp_path / "a.npz", x=X, y=np.array([odd, sound, odd, sound]))
    report, _ = check(tmp_path / "a.npz")
    assert faults(report) >= {("bad_label", "item 0"), ("bad_label", "item 2")}
    assert list(report.classes) == ["ok"]
    json.dumps(report.to_dict(), ensure_ascii=False).encode()


def test_labels_are_held_to_the_same_in_tables_and_folders(tmp_path: Path) -> None:
    report, _ = check(write_csv(tmp_path / "a.csv", [*SOUND_ROWS, [1, 2, "a\nb"]]))
    assert faults(report) == {("bad_label", "row 6, column label")}
    report, _ = check(write_zip(tmp_path / "a.zip", [*two_classes(), ("a\nb/1.png", some_png(5)), ("c\td/", b"")]))
    assert faults(report) == {("bad_label", "a\nb/1.png"), ("bad_label", "c\td/")}


# --- Whole files ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "format", "code"),
    [
        (b"", None, "empty_file"),
        (b"PK\x03\x04 and then nothing", None, "not_an_archive"),
        (b"\x7fELF\x00\x00", None, "unknown_format"),
        (b"\xff\xfe\xfa" * 50, None, "unknown_format"),
        (b"a,b\n", DatasetFormat.ZIP, "not_an_archive"),
        (b"a,b\n", DatasetFormat.NPZ, "not_an_archive"),
        (b"\xff\xfe\xfa" * 50, DatasetFormat.CSV, "not_text"),
        (b"a,label\n", None, "empty_file"),
        (b"\n", None, "empty_file"),
    ],
)
def test_files_that_are_not_what_they_ought_to_be(
    tmp_path: Path, content: bytes, format: DatasetFormat | None, code: str
) -> None:
    (tmp_path / "a").write_bytes(content)
    report, contents = check(tmp_path / "a", format)
    assert contents is None
    assert [fault.code for fault in report.faults] == [code]


def test_classes_of_copies_are_faults(tmp_path: Path) -> None:
    report, contents = check(
        write_csv(tmp_path / "a.csv", [HEADER, *[[1, 2, "x"]] * 4, *[[3, 4, "y"]] * 4, *[[1, 2, "z"]]])
    )
    assert contents is None
    assert faults(report) == {("too_few_distinct", "x"), ("too_few_distinct", "y"), ("class_too_small", "z")}
    same = [(f"{label}/{n}.png", some_png(0)) for label in "ab" for n in range(3)]
    report, contents = check(write_zip(tmp_path / "a.zip", [*same, *two_classes(), ("c/1.png", b"")]))
    assert contents is None
    assert faults(report) >= {("too_few_distinct", "a"), ("too_few_distinct", "b"), ("unreadable_image", "c/1.png")}


def test_what_is_said_is_short_whatever_the_file_holds(tmp_path: Path) -> None:
    report, _ = check(write_csv(tmp_path / "a.csv", [["x" * 100_000, "b"], [1, 2]]))
    assert all(len(fault.message) <= LONGEST_TEXT for fault in report.faults)


def test_the_digest_does_not_depend_on_order_or_container(tmp_path: Path) -> None:
    entries = two_classes()
    plain, _ = check(write_zip(tmp_path / "a.zip", entries))
    renamed = [(f"wrap/{name.split('/')[0]}/{n}.png", data) for n, (name, data) in enumerate(reversed(entries))]
    turned, _ = check(write_zip(tmp_path / "b.zip", renamed))
    assert plain.digest == turned.digest is not None
    relabelled, _ = check(write_zip(tmp_path / "c.zip", [("dog/9.png", entries[0][1]), *entries[1:]]))
    assert relabelled.digest != plain.digest
    rows, _ = check(write_csv(tmp_path / "a.csv", SOUND_ROWS))
    turned_rows, _ = check(write_csv(tmp_path / "b.csv", [HEADER, *reversed(SOUND_ROWS[1:])]))
    assert rows.digest == turned_rows.digest
    swapped, _ = check(write_csv(tmp_path / "c.csv", [["b", "a", "label"], *SOUND_ROWS[1:]]))
    assert swapped.digest != rows.digest


def test_oddities_are_warned_of(tmp_path: Path) -> None:
    rows = [HEADER, *[[k, 5, "x"] for k in range(10)], [0, 5, "y"], [0, 5, "x"], [7, 5, "X"], [8, 5, "X"]]
    report, _ = check(write_csv(tmp_path / "a.csv", [*rows[:-4], [0, 5, "y"], [1, 5, "y"], *rows[-2:]]))
    assert report.faults == ()
    assert warnings(report) == {
        "small_test",
        "duplicates",
        "conflicting_labels",
        "imbalance",
        "constant_columns",
        "similar_labels",
        "few_to_evaluate",
    }
