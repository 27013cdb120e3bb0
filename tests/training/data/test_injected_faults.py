"""Sound data has nothing wrong with it; and each of many faults put into it is found, placed and explained, before any
training.
"""

from __future__ import annotations

import base64
import io
import re
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from labelled_data import png, write_csv, write_jsonl, write_parquet, write_tfrecord, write_zip
from PIL import Image

from service.domain.dataset import DatasetFormat
from service.domain.faults import Fault
from service.domain.learning import LearningTask
from training.data.check import examine
from training.data.reading import Reading

Rows = list[list[Any]]
CLASSES = ("alpha", "bravo", "charlie")
EACH = 200
LABEL = 3
"""Place of the label in a row."""
SMALL = frozenset({"small_test", "few_to_evaluate", "few_to_promote"})
"""Notes on size: the images here are too few for a good test, to save time."""


def table() -> Rows:
    """Three overlapping classes of three numbers, in random order; the first row is the header."""
    draw = np.random.default_rng(5)
    labels = draw.permutation(np.repeat(np.arange(3), EACH))
    numbers = draw.normal(size=(len(labels), 3)) + 1.5 * np.eye(3)[labels]
    rows: Rows = [["a", "b", "c", "label"]]
    return rows + [[*row, CLASSES[k]] for row, k in zip(numbers.round(4).tolist(), labels, strict=True)]


def photograph(number: int, kind: int, size: int = 24) -> Image.Image:
    """A picture with shapes of its own, coarse enough to be the same picture when it is saved again."""
    draw = np.random.default_rng(1000 * kind + number)
    coarse = Image.fromarray(draw.integers(0, 256, size=(6, 6, 3), dtype=np.uint8))
    return coarse.resize((size, size), Image.Resampling.BICUBIC)


def saved(image: Image.Image, format: str = "PNG", **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format, **options)
    return stream.getvalue()


def album() -> list[tuple[str, bytes]]:
    return [(f"{name}/{n}.png", saved(photograph(n, k))) for k, name in enumerate(CLASSES) for n in range(20)]


WORDS = ("river", "stone", "cloud", "engine", "market", "winter", "silver", "garden", "signal", "harbour")


def texts() -> list[dict[str, Any]]:
    draw = np.random.default_rng(3)
    return [
        {"text": f"{' '.join(draw.choice(WORDS, size=7))} {number} and more", "label": CLASSES[number % 3]}
        for number in range(600)
    ]


@dataclass(frozen=True)
class Case:
    """A fault put into sound data, and what must be said of it."""

    code: str
    place: str
    says: str
    make: Callable[[Path], Path]
    reading: Reading = field(default_factory=Reading)
    stops: bool = True


def in_table(change: Callable[[Rows], Any]) -> Callable[[Path], Path]:
    def make(directory: Path) -> Path:
        rows = table()
        change(rows)
        return write_csv(directory / "data.csv", rows)

    return make


def in_album(change: Callable[[list[tuple[str, bytes]]], Any]) -> Callable[[Path], Path]:
    def make(directory: Path) -> Path:
        entries = album()
        change(entries)
        return write_zip(directory / "data.zip", entries)

    return make


def in_texts(change: Callable[[list[Any]], Any]) -> Callable[[Path], Path]:
    def make(directory: Path) -> Path:
        records: list[Any] = texts()
        change(records)
        return write_jsonl(directory / "data.jsonl", records)

    return make


def set_cell(row: int, column: int, value: Any) -> Callable[[Rows], None]:
    """``row`` as a spreadsheet counts."""

    def change(rows: Rows) -> None:
        rows[row - 1][column] = value

    return change


def add_column(name: str, value: Callable[[int, list[Any]], Any]) -> Callable[[Rows], None]:
    def change(rows: Rows) -> None:
        for number, row in enumerate(rows):
            row.insert(LABEL, name if number == 0 else value(number - 1, row))

    return change


def relabel(count: int, old: str, new: str) -> Callable[[Rows], None]:
    def change(rows: Rows) -> None:
        for row in [row for row in rows if row[LABEL] == old][:count]:
            row[LABEL] = new

    return change


def scale_rows(rows: Rows) -> None:
    for row in rows[400:]:
        row[1] = row[1] * 1000 + 7000


def drift(rows: Rows) -> None:
    """Rows of a slow walk in place of independent ones."""
    walk = np.cumsum(np.random.default_rng(1).normal(size=(len(rows), 3)), axis=0)
    for row, values in zip(rows[1:], walk.tolist(), strict=False):
        row[:3] = values


def arrays(change: Callable[[dict[str, Any]], None], **options: Any) -> Callable[[Path], Path]:
    def make(directory: Path) -> Path:
        draw = np.random.default_rng(2)
        y = draw.integers(0, 2, size=600)
        x = draw.integers(0, 256, size=(600, 12)) + 40 * y[:, None]
        held: dict[str, Any] = {"x": x.astype(np.float32), "y": y}
        change(held)
        np.savez(directory / "data.npz", **held)
        return directory / "data.npz"

    return make


def to_unit(held: dict[str, Any]) -> None:
    held["x"][100:130] /= 300


def nan_item(held: dict[str, Any]) -> None:
    held["x"][17, 3] = np.nan


def damaged_tfrecord(at: Callable[[bytes], int]) -> Callable[[Path], Path]:
    def make(directory: Path) -> Path:
        examples = [{"features": [float(n), float(n % 7)], "label": CLASSES[n % 3]} for n in range(30)]
        path = write_tfrecord(directory / "data.tfrecord", examples)
        raw = bytearray(path.read_bytes())
        raw[at(bytes(raw))] ^= 0xFF
        path.write_bytes(raw)
        return path

    return make


def parquet_of(change: Callable[[dict[str, Any]], None]) -> Callable[[Path], Path]:
    def make(directory: Path) -> Path:
        header, *rows = table()
        columns = {name: [row[place] for row in rows] for place, name in enumerate(header)}
        change(columns)
        return write_parquet(directory / "data.parquet", columns)

    return make


def numbers_to_learn(change: Callable[[Rows], Any]) -> Callable[[Path], Path]:
    def value(rows: Rows) -> None:
        draw = np.random.default_rng(9)
        for row in rows[1:]:
            row[LABEL] = round(sum(row[:3]) + draw.normal(), 4)
        change(rows)

    return in_table(value)


def tags(change: Callable[[Rows], Any]) -> Callable[[Path], Path]:
    def value(rows: Rows) -> None:
        draw = np.random.default_rng(9)
        for row in rows[1:]:
            row[LABEL] = "|".join(draw.choice(CLASSES, size=draw.integers(1, 3), replace=False))
        change(rows)

    return in_table(value)


def turned() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return saved(photograph(900, 0), "JPEG", exif=exif)


def flip_in_zip(directory: Path) -> Path:
    path = write_zip(directory / "data.zip", album())
    raw = bytearray(path.read_bytes())
    raw[raw.index(album()[1][1]) + 40] ^= 0xFF
    path.write_bytes(raw)
    return path


REGRESSION = Reading(task=LearningTask.REGRESSION)
MULTILABEL = Reading(task=LearningTask.MULTILABEL)
FIRST = "alpha/0.png"

CASES = {
    # Items that cannot be read.
    "corrupt image": Case(
        "unreadable_image",
        "alpha/cut.png",
        "cannot be decoded",
        in_album(lambda entries: entries.append(("alpha/cut.png", saved(photograph(99, 0))[:300]))),
    ),
    "text named as an image": Case(
        "unreadable_image",
        "bravo/x.png",
        "not an image",
        in_album(lambda entries: entries.append(("bravo/x.png", b"hi"))),
    ),
    "flipped bit in an archive": Case("unreadable_entry", "alpha/1.png", "cannot be unpacked", flip_in_zip),
    "image in no class": Case(
        "no_class_folder",
        "loose.png",
        "in no class folder",
        in_album(lambda entries: entries.append(("loose.png", album()[0][1]))),
    ),
    "path out of the archive": Case(
        "unsafe_path",
        "../alpha/x.png",
        "leads out",
        in_album(lambda entries: entries.append(("../alpha/x.png", saved(photograph(98, 0))))),
    ),
    "colours for print": Case(
        "unsupported_colours",
        "alpha/print.jpg",
        "save it as RGB",
        in_album(lambda entries: entries.append(("alpha/print.jpg", saved(photograph(97, 0).convert("CMYK"), "JPEG")))),
    ),
    "word among numbers": Case(
        "not_a_number", "row 9, column b", "'many' is not a number", in_table(set_cell(9, 1, "many"))
    ),
    "missing number": Case("empty_cell", "row 12, column a", "empty", in_table(set_cell(12, 0, ""))),
    "NaN in a table": Case("not_finite", "row 30, column c", "nan is not a finite", in_table(set_cell(30, 2, "nan"))),
    "infinity in a table": Case("not_finite", "row 31, column c", "inf", in_table(set_cell(31, 2, "-inf"))),
    "NaN in an array": Case("not_finite", "item 17", "not finite", arrays(nan_item)),
    "row too short": Case("ragged_row", "row 8", "3 cells, the header has 4", in_table(lambda rows: rows[7].pop())),
    "two encodings": Case(
        "mixed_encoding",
        "row 5",
        "0xe9",
        lambda directory: latin_row(directory),
    ),
    "null in Parquet": Case(
        "empty_cell", "row 6, column b", "empty", parquet_of(lambda columns: columns["b"].__setitem__(4, None))
    ),
    "nested column in Parquet": Case(
        "nested_column",
        "column b",
        "one column a number",
        parquet_of(lambda columns: columns.__setitem__("b", [[1.0, 2.0]] * (3 * EACH))),
    ),
    "broken JSON": Case(
        "not_json", "line 4", "no JSON object", in_texts(lambda lines: lines.__setitem__(3, '{"text": "a'))
    ),
    "key twice": Case(
        "not_json",
        "line 5",
        "'label' is there twice",
        in_texts(lambda lines: lines.__setitem__(4, '{"text": "a", "label": "alpha", "label": "bravo"}')),
    ),
    "empty text": Case(
        "empty_text",
        "line 7, key text",
        "empty",
        in_texts(lambda lines: lines.__setitem__(6, {"text": "  ", "label": "alpha"})),
    ),
    "no label": Case(
        "missing_label", "line 2", "what is to be learned is missing", in_texts(lambda lines: lines[1].pop("label"))
    ),
    "image that is no base64": Case(
        "unreadable_image", "line 3, key image", "not base64", lambda directory: images_in_json(directory, 2, "@@@@")
    ),
    "broken TFRecord data": Case(
        "broken_record", "record 0", "does not agree with its checksum", damaged_tfrecord(lambda raw: 20)
    ),
    "broken TFRecord length": Case(
        "broken_length",
        "record 0",
        "at byte 0",
        damaged_tfrecord(lambda raw: 3),
        Reading(format=DatasetFormat.TFRECORD),
    ),
    # Labels.
    "empty label": Case("empty_label", "row 4, column label", "empty", in_table(set_cell(4, LABEL, " "))),
    "label that cannot be shown": Case(
        "bad_label", "row 4, column label", "control", in_table(set_cell(4, LABEL, "a\x07"))
    ),
    "no label column": Case(
        "missing_label_column", "row 1", "the columns are a, b, c, kind", in_table(set_cell(1, LABEL, "kind"))
    ),
    "one item of a class": Case("class_too_small", "delta", "1 item", in_table(set_cell(4, LABEL, "delta"))),
    "one class": Case(
        "one_class",
        "file",
        "at least two",
        in_table(lambda rows: [row.__setitem__(LABEL, "alpha") for row in rows[1:]]),
    ),
    "three classes for a binary task": Case(
        "not_binary", "file", "here are 3", in_table(lambda rows: None), Reading(task=LearningTask.BINARY)
    ),
    "numbers for labels": Case(
        "labels_are_values",
        "file",
        "did you mean task regression?",
        in_table(lambda rows: [row.__setitem__(LABEL, round(sum(row[:3]), 3)) for row in rows[1:]]),
    ),
    "words for numbers to learn": Case(
        "label_not_a_number",
        "row 5, column label",
        "did you mean task multiclass?",
        numbers_to_learn(set_cell(5, LABEL, "alpha")),
        REGRESSION,
    ),
    "missing number to learn": Case(
        "empty_label", "row 5, column label", "missing", numbers_to_learn(set_cell(5, LABEL, "")), REGRESSION
    ),
    "always the same number to learn": Case(
        "constant_value",
        "label",
        "nothing to learn",
        numbers_to_learn(lambda rows: [row.__setitem__(LABEL, 4) for row in rows[1:]]),
        REGRESSION,
    ),
    "label on every item": Case(
        "label_on_all",
        "delta",
        "nothing to tell apart",
        tags(lambda rows: [row.__setitem__(LABEL, f"{row[LABEL]}|delta") for row in rows[1:]]),
        MULTILABEL,
    ),
    "flag that is none": Case(
        "bad_flag",
        "row 3, column c",
        "neither 0 nor 1",
        in_table(lambda rows: [row.__setitem__(2, n % 2 + (n == 1) * 5) for n, row in enumerate(rows[1:])]),
        Reading(task=LearningTask.MULTILABEL, label=("c", "label")),
    ),
    "misspelt label": Case(
        "label_typo", "alhpa", "may be 'alpha'", in_table(relabel(3, "alpha", "alhpa")), stops=False
    ),
    "label in capitals": Case(
        "similar_labels", "Alpha", "differ in spelling only", in_table(relabel(100, "alpha", "Alpha")), stops=False
    ),
    "joined labels": Case(
        "labels_look_joined", "alpha|bravo", "multilabel", in_table(relabel(90, "alpha", "alpha|bravo")), stops=False
    ),
    "imbalance": Case(
        "imbalance", "delta", "200 items where 'delta' has 30", in_table(relabel(30, "alpha", "delta")), stops=False
    ),
    "too few to judge": Case("few_to_evaluate", "delta", "has 3", in_table(relabel(3, "alpha", "delta")), stops=False),
    "too few to go live on": Case(
        "few_to_promote", "delta", "has 12", in_table(relabel(12, "alpha", "delta")), stops=False
    ),
    # Copies and splits.
    "exact copies": Case(
        "duplicates", "row 5", "2 items", in_table(lambda rows: rows.extend([rows[4]] * 2)), stops=False
    ),
    "conflicting labels": Case(
        "conflicting_labels",
        "row 5",
        "is labelled",
        in_table(lambda rows: rows.append([*rows[4][:3], next(name for name in CLASSES if name != rows[4][LABEL])])),
        stops=False,
    ),
    "near copies of numbers": Case(
        "near_duplicates",
        "row 5",
        "nearly the same",
        in_table(lambda rows: rows.append([*(value + 1e-5 for value in rows[4][:3]), rows[4][LABEL]])),
        stops=False,
    ),
    "an image saved again": Case(
        "near_duplicates",
        FIRST,
        "alpha/again.jpg",
        in_album(lambda entries: entries.append(("alpha/again.jpg", saved(photograph(0, 0, 40), "JPEG", quality=90)))),
        stops=False,
    ),
    "an image saved again under another label": Case(
        "near_conflict",
        FIRST,
        "labelled 'bravo'",
        in_album(lambda entries: entries.append(("bravo/again.jpg", saved(photograph(0, 0), "JPEG", quality=90)))),
        stops=False,
    ),
    "a text with other capitals": Case(
        "near_duplicates",
        "line 1",
        "line 601",
        in_texts(lambda lines: lines.append({**lines[0], "text": lines[0]["text"].upper() + "!"})),
        stops=False,
    ),
    "a class of copies": Case(
        "too_few_distinct",
        "delta",
        "copies of one",
        in_table(lambda rows: [row.__setitem__(slice(0, 4), [1, 2, 3, "delta"]) for row in rows[1:9]]),
    ),
    "copies on both sides": Case(
        "copy_across_sides",
        "row 602",
        "on the other side",
        in_table(
            lambda rows: (
                add_column("side", lambda n, row: "train" if n % 3 else "test")(rows),
                rows.append([*rows[1][:3], "train", rows[1][4]]),
            )
        ),
        Reading(side="side"),
    ),
    "a side that is none": Case(
        "bad_side",
        "row 4, column side",
        "neither train nor test",
        in_table(add_column("side", lambda n, row: "valid" if n == 2 else ("test" if n % 4 == 0 else "train"))),
        Reading(side="side"),
    ),
    "a class that is never learned": Case(
        "class_not_learned",
        "bravo",
        "on the side test",
        in_table(add_column("side", lambda n, row: "test" if row[LABEL] == "bravo" or n % 4 == 0 else "train")),
        Reading(side="side"),
    ),
    "groups on both sides": Case(
        "group_across_sides",
        "row 3",
        "on both sides",
        in_table(
            lambda rows: (
                add_column("side", lambda n, row: "train" if n % 2 else "test")(rows),
                add_column("patient", lambda n, row: f"p{n // 2}")(rows),
            )
        ),
        Reading(side="side", group="patient"),
    ),
    "a class in one group": Case(
        "class_in_one_group",
        "alpha",
        "cannot be both learned and tested",
        in_table(add_column("site", lambda n, row: "north" if row[LABEL] == "alpha" else f"s{n % 9}")),
        Reading(group="site"),
    ),
    "a time that is none": Case(
        "bad_time",
        "row 3, column day",
        "neither a number nor a date",
        in_table(add_column("day", lambda n, row: "soon" if n == 1 else f"2024-01-{n % 28 + 1:02d}")),
        Reading(time="day"),
    ),
    "a negative weight": Case(
        "bad_weight",
        "row 6, column w",
        "0 or more",
        in_table(add_column("w", lambda n, row: -1 if n == 4 else 1)),
        Reading(weight="w"),
    ),
    # Columns and scales.
    "constant column": Case(
        "constant_columns", "column z", "always the same", in_table(add_column("z", lambda n, row: 5)), stops=False
    ),
    "identifiers": Case(
        "id_column", "column id", "counts the rows", in_table(add_column("id", lambda n, row: n + 1)), stops=False
    ),
    "the label in another column": Case(
        "leaks_label",
        "column code",
        "tells all classes apart",
        in_table(add_column("code", lambda n, row: CLASSES.index(row[LABEL]) * 10)),
        stops=False,
    ),
    "the number to learn in another unit": Case(
        "leaks_label",
        "column feet",
        "in another unit",
        numbers_to_learn(add_column("feet", lambda n, row: row[LABEL] * 3.2808)),
        REGRESSION,
        stops=False,
    ),
    "a stand-in for missing numbers": Case(
        "outlier", "row 7, column b", "-9999", in_table(set_cell(7, 1, -9999)), stops=False
    ),
    "a number to learn from another world": Case(
        "outlier_value", "row 7", "99999", numbers_to_learn(set_cell(7, LABEL, 99999)), REGRESSION, stops=False
    ),
    "a column in another unit halfway": Case(
        "shifted_column", "column b", "another unit", in_table(scale_rows), stops=False
    ),
    "0..1 among 0..255": Case("mixed_scale", "item 100", "30 items", arrays(to_unit), stops=False),
    "rows that follow each other": Case("order_leak", "file", "split.method time", in_table(drift), stops=False),
    # Pictures and texts.
    "transparent image": Case(
        "odd_colours",
        "alpha/clear.png",
        "transparent",
        in_album(lambda entries: entries.append(("alpha/clear.png", saved(photograph(80, 0).convert("RGBA"))))),
        stops=False,
    ),
    "16 bits a pixel": Case(
        "odd_colours",
        "alpha/deep.png",
        "16 bits",
        in_album(lambda entries: entries.append(("alpha/deep.png", deep()))),
        stops=False,
    ),
    "grey among coloured": Case(
        "mixed_colours",
        "alpha/grey.png",
        "1 images are grey",
        in_album(lambda entries: entries.append(("alpha/grey.png", saved(photograph(81, 0).convert("L"))))),
        stops=False,
    ),
    "turned by EXIF": Case(
        "turned_image",
        "alpha/phone.jpg",
        "EXIF",
        in_album(lambda entries: entries.append(("alpha/phone.jpg", turned()))),
        stops=False,
    ),
    "all one colour": Case(
        "one_colour",
        "alpha/blank.png",
        "shows nothing",
        in_album(lambda entries: entries.append(("alpha/blank.png", png(np.full((24, 24, 3), 7))))),
        stops=False,
    ),
    "a thumbnail": Case(
        "tiny_image",
        "alpha/small.png",
        "thumbnail",
        in_album(lambda entries: entries.append(("alpha/small.png", saved(photograph(82, 0, 2))))),
        stops=False,
    ),
    "a size for each class": Case(
        "format_leaks_label",
        "file",
        "size of its own",
        lambda directory: write_zip(
            directory / "data.zip",
            [(f"{name}/{n}.png", saved(photograph(n, k, 20 + k))) for k, name in enumerate(CLASSES) for n in range(20)],
        ),
        stops=False,
    ),
    "letters decoded wrongly": Case(
        "mixed_encoding",
        "line 9",
        "read as Latin-1",
        in_texts(lambda lines: lines[8].update(text="the caf\u00c3\u00a9 by the river")),
        stops=False,
    ),
    "letters lost": Case(
        "lost_characters",
        "line 9",
        "replacement",
        in_texts(lambda lines: lines[8].update(text="the caf\ufffd by the river")),
        stops=False,
    ),
    "HTML": Case(
        "markup", "line 9", "HTML", in_texts(lambda lines: lines[8].update(text="<p>the river</p>")), stops=False
    ),
    "the label in the text": Case(
        "text_names_label",
        "alpha",
        "holds the word",
        in_texts(
            lambda lines: [line.update(text=f"alpha {line['text']}") for line in lines if line["label"] == "alpha"]
        ),
        stops=False,
    ),
}


def latin_row(directory: Path) -> Path:
    rows = [
        f"{place},{text},{CLASSES[place % 3]}" for place, text in enumerate(["0", "1", "2", "caf\u00e9"] + ["4"] * 9)
    ]
    (directory / "data.csv").write_bytes(b"a,b,label\n" + "\n".join(rows).encode("latin-1"))
    return directory / "data.csv"


def images_in_json(directory: Path, line: int, text: str) -> Path:
    records = [{"image": base64.b64encode(data).decode(), "label": name.split("/")[0]} for name, data in album()]
    records[line]["image"] = text
    return write_jsonl(directory / "data.jsonl", records)


def deep() -> bytes:
    values = np.random.default_rng(0).integers(0, 65536, size=(24, 24)).astype(np.uint16)
    return saved(Image.fromarray(values))


SOUND: dict[str, tuple[Callable[[Path], Path], Reading]] = {
    "table": (in_table(lambda rows: None), Reading()),
    "images": (in_album(lambda entries: None), Reading()),
    "texts": (in_texts(lambda lines: None), Reading()),
    "arrays": (arrays(lambda held: None), Reading()),
    "Parquet": (parquet_of(lambda columns: None), Reading()),
    "numbers to learn": (numbers_to_learn(lambda rows: None), REGRESSION),
    "sets of labels": (tags(lambda rows: None), MULTILABEL),
    "images in JSON": (
        lambda directory: images_in_json(directory, 0, base64.b64encode(album()[0][1]).decode()),
        Reading(),
    ),
}


@pytest.mark.parametrize("name", SOUND)
def test_sound_data_has_nothing_wrong_with_it(tmp_path: Path, name: str) -> None:
    make, reading = SOUND[name]
    report, contents = examine(make(tmp_path), reading)
    assert contents is not None
    assert report.faults == ()
    assert [warning for warning in report.warnings if not ("images" in name and warning.code in SMALL)] == []


def test_there_are_over_thirty_kinds_of_faults() -> None:
    assert len({case.code for case in CASES.values()}) >= 30
    assert len(CASES) >= 36


@pytest.mark.parametrize("name", CASES)
def test_each_fault_is_found_placed_and_explained(tmp_path: Path, name: str) -> None:
    case = CASES[name]
    report, contents = examine(case.make(tmp_path), case.reading)
    found = report.faults if case.stops else report.warnings
    told = [one for one in found if one.code == case.code]
    assert told, f"{case.code} is not among {[one.code for one in (*report.faults, *report.warnings)]}"
    assert case.place in [one.place for one in told]
    assert case.says in " ".join(one.message for one in told)
    assert all(map(is_readable, (*report.faults, *report.warnings)))
    assert (contents is None) == case.stops


def is_readable(fault: Fault) -> bool:
    """A sentence, not the insides of a program."""
    return len(fault.message) > 10 and not re.search(r"Traceback|object at 0x|<class ", fault.message)


def test_faults_of_many_kinds_are_told_at_once(tmp_path: Path) -> None:
    rows = table()
    rows[3][0], rows[4][1], rows[5][2], rows[6][LABEL] = "x", "", "inf", ""
    rows[7].append(1)
    report, _ = examine(write_csv(tmp_path / "data.csv", rows), Reading())
    assert {(fault.code, fault.place) for fault in report.faults} == {
        ("not_a_number", "row 4, column a"),
        ("empty_cell", "row 5, column b"),
        ("not_finite", "row 6, column c"),
        ("empty_label", "row 7, column label"),
        ("ragged_row", "row 8"),
    }


def test_an_archive_in_an_archive_is_not_opened(tmp_path: Path) -> None:
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("x.png", album()[0][1])
    entries = [*album(), ("alpha/more.zip", inner.getvalue())]
    report, _ = examine(write_zip(tmp_path / "data.zip", entries), Reading())
    assert [(fault.code, fault.place) for fault in report.faults] == [("unsupported_file", "alpha/more.zip")]
