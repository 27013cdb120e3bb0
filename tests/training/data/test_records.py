"""JSON lines, TFRecord and Parquet: what they hold is what CSV would have held, and what attacks them is told."""

from __future__ import annotations

import base64
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from labelled_data import some_png, write_csv, write_jsonl, write_parquet, write_tfrecord

from service.domain.artifact import InputKind
from service.domain.dataset import DatasetFormat, DatasetReport
from service.domain.learning import LearningTask
from training.data import jsonl
from training.data.check import check, examine
from training.data.crc32c import crc32c, masked
from training.data.examples import parsed_example
from training.data.reading import Reading
from training.data.targets import Classes, LabelSets, Values

ROWS: list[tuple[float, float, str]] = [(1.5, 2, "x"), (3, -4, "x"), (5, 6, "y"), (7, 9e9, "y"), (0.1, 0, "x")]


def faults(report: DatasetReport) -> set[tuple[str, str]]:
    return {(fault.code, fault.place) for fault in report.faults}


def written(directory: Path, format: str) -> Path:
    path = directory / f"data.{format}"
    match format:
        case "csv":
            return write_csv(path, [["a", "b", "label"], *ROWS])
        case "parquet":
            a, b, label = zip(*ROWS, strict=True)
            return write_parquet(path, {"a": a, "b": [float(value) for value in b], "label": label})
        case "jsonl":
            return write_jsonl(path, [{"a": a, "b": b, "label": label} for a, b, label in ROWS])
        case _:
            return write_tfrecord(path, [{"a": float(a), "b": float(b), "label": label} for a, b, label in ROWS])


@pytest.mark.parametrize("format", ["csv", "parquet", "jsonl", "tfrecord"])
def test_the_same_numbers_are_the_same_data_in_every_format(tmp_path: Path, format: str) -> None:
    reference, _ = check(written(tmp_path, "csv"))
    report, contents = check(written(tmp_path, format))
    assert report.faults == ()
    assert report.format == format
    assert (report.kind, report.shape, report.columns) == (InputKind.VECTOR, (2,), ("a", "b"))
    assert contents is not None
    assert contents.targets == Classes(("x", "x", "y", "y", "x"))
    assert contents.numbers is not None
    np.testing.assert_array_equal(contents.numbers, np.array([row[:2] for row in ROWS], dtype=np.float32))
    assert report.digest == reference.digest is not None


@pytest.mark.parametrize("format", ["jsonl", "tfrecord"])
def test_images_are_read_again_from_where_they_lie(tmp_path: Path, format: str) -> None:
    images = [some_png(n) for n in range(6)]
    records: list[dict[str, Any]] = [{"image": data, "label": "xy"[n % 2]} for n, data in enumerate(images)]
    if format == "jsonl":
        text = [{**record, "image": base64.b64encode(record["image"]).decode()} for record in records]
        path = write_jsonl(tmp_path / "data", ["", *text])
    else:
        path = write_tfrecord(tmp_path / "data", records)
    report, contents = check(path)
    assert report.faults == ()
    assert (report.format, report.kind) == (DatasetFormat(format), InputKind.IMAGE)
    assert contents is not None
    assert list(contents.encoded([4, 0])) == [images[4], images[0]]
    assert contents.place(4) == ("line 6" if format == "jsonl" else "record 4")


@pytest.mark.parametrize("format", ["csv", "jsonl", "tfrecord", "parquet"])
def test_texts_and_tokens(tmp_path: Path, format: str) -> None:
    texts = [f"the {n}th day, at last" for n in range(4)]
    tokens = [[1, 2, 3], [4, 5], [6, 7], [8, 9, 10, 11]]
    for key, values, kind in (("text", texts, InputKind.TEXT), ("tokens", tokens, InputKind.TOKENS)):
        path = tmp_path / f"{key}.{format}"
        if format == "csv":
            cells = [" ".join(map(str, value)) if isinstance(value, list) else value for value in values]
            write_csv(path, [[key, "label"], *zip(cells, "xxyy", strict=True)])
        elif format == "parquet":
            write_parquet(path, {key: values, "label": list("xxyy")})
        else:
            write = write_jsonl if format == "jsonl" else write_tfrecord
            write(path, [{key: value, "label": label} for value, label in zip(values, "xxyy", strict=True)])
        report, contents = check(path)
        assert report.faults == (), format
        assert contents is not None
        assert contents.kind is kind
        if kind is InputKind.TEXT:
            assert (contents.texts, contents.shape) == (tuple(texts), ())
        else:
            assert contents.tokens is not None
            assert contents.tokens.tolist() == [[1, 2, 3, 0], [4, 5, 0, 0], [6, 7, 0, 0], [8, 9, 10, 11]]


# --- Targets ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("format", ["joined", "flags", "jsonl", "tfrecord", "npz", "parquet"])
def test_sets_of_labels(tmp_path: Path, format: str) -> None:
    sets = [("p", "q"), ("q",), (), ("p",), ("p", "q"), ("q",)]
    flags = [[int(name in one) for name in "pq"] for one in sets]
    path, label = tmp_path / "data", None
    match format:
        case "joined":
            write_csv(path, [["a", "b", "label"], *([n, n * n, "|".join(one)] for n, one in enumerate(sets))])
        case "flags":
            write_csv(path, [["a", "p", "b", "q"], *([n, one[0], n * n, one[1]] for n, one in enumerate(flags))])
            label = ["p", "q"]
        case "parquet":
            columns = {"a": list(range(6)), "p": [one[0] == 1 for one in flags], "q": [float(one[1]) for one in flags]}
            write_parquet(path, columns)
            label = ["p", "q"]
        case "npz":
            np.savez(path, x=np.arange(12.0).reshape(6, 2), y=np.array(flags), labels=np.array(["p", "q"]))
            path = tmp_path / "data.npz"
        case "jsonl":
            write_jsonl(path, [{"features": [n, n * n], "labels": list(one)} for n, one in enumerate(sets)])
        case _:
            joined = [{"features": [float(n), 1.0 * n * n], "labels": "|".join(one)} for n, one in enumerate(sets)]
            write_tfrecord(path, joined)
    report, contents = check(path, label=label, task=LearningTask.MULTILABEL)
    assert report.faults == ()
    assert dict(report.classes) == {"p": 3, "q": 4}
    assert report.items == 6
    assert contents is not None
    assert isinstance(contents.targets, LabelSets)
    assert contents.targets.sets == tuple(sets)


@pytest.mark.parametrize("format", ["csv", "npz", "jsonl", "tfrecord"])
def test_numbers_to_be_learned(tmp_path: Path, format: str) -> None:
    y = np.array([[0.5, 1], [2, 3], [4, 5], [6, 7.25]])
    path, label = tmp_path / "data", ["u", "v"] if format in {"csv", "npz"} else None
    match format:
        case "csv":
            write_csv(path, [["a", "u", "v"], *([n, *row] for n, row in enumerate(y.tolist()))])
        case "npz":
            np.savez(path, x=np.arange(8.0).reshape(4, 2), y=y)
            path = tmp_path / "data.npz"
        case "jsonl":
            write_jsonl(path, [{"features": [n], "values": row} for n, row in enumerate(y.tolist())])
        case _:
            write_tfrecord(path, [{"features": [float(n)], "values": row} for n, row in enumerate(y.tolist())])
    report, contents = check(path, label=label, task=LearningTask.REGRESSION)
    assert report.faults == ()
    assert contents is not None
    assert isinstance(contents.targets, Values)
    np.testing.assert_array_equal(contents.targets.values, y)
    assert contents.targets.names == (("u", "v") if label else ("values0", "values1"))
    first = next(iter(report.values.values()))
    assert (first.min, first.mean, first.max) == (0.5, 3.125, 6.0)
    assert DatasetReport.from_dict(json.loads(json.dumps(report.to_dict()))) == report


def test_a_report_written_before_there_were_tasks_can_be_read(tmp_path: Path) -> None:
    report, _ = check(written(tmp_path, "csv"))
    old = report.to_dict()
    for new in ("task", "values", "quarantined", "quarantined_count"):
        del old[new]
    assert DatasetReport.from_dict(json.loads(json.dumps(old))) == report


# --- Options ----------------------------------------------------------------------------------------------------------


def test_columns_that_are_named_are_the_input_and_others_stand_beside(tmp_path: Path) -> None:
    header = ["id", "a", "who", "when", "w", "b", "kind"]
    rows = [[n, n * 2, f"p{n % 3}", f"2024-02-{n + 1:02d}", 1 + n, n * n, "xy"[n % 2]] for n in range(8)]
    reading = Reading(label=("kind",), features=("b", "a"), group="who", time="when", weight="w")
    report, contents = examine(write_csv(tmp_path / "a.csv", [header, *rows]), reading)
    assert report.faults == ()
    assert contents is not None
    assert contents.columns == ("b", "a")
    assert contents.numbers is not None
    assert contents.numbers[3].tolist() == [9, 6]
    assert contents.groups == tuple(f"p{n % 3}" for n in range(8))
    assert contents.times is not None
    assert set(np.diff(contents.times)) == {86_400.0}
    assert contents.weights is not None
    assert contents.weights.tolist() == list(range(1, 9))
    other, _ = examine(tmp_path / "a.csv", Reading(label=("kind",), features=("b", "a")))
    assert other.digest != report.digest


@pytest.mark.parametrize(
    ("reading", "code"),
    [
        (Reading(features=("nope",)), "missing_column"),
        (Reading(group="nope"), "missing_column"),
        (Reading(features=("a", "label")), "column_used_twice"),
        (Reading(label=("a", "b")), "too_many_labels"),
        (Reading(only=("x",), task=LearningTask.REGRESSION, label=("b",)), "filter_without_classes"),
        (Reading(labels=("x", "z")), "unknown_label"),
        (Reading(digest="0" * 64), "wrong_digest"),
    ],
)
def test_options_that_do_not_fit_the_data(tmp_path: Path, reading: Reading, code: str) -> None:
    report, contents = examine(written(tmp_path, "csv"), reading)
    assert contents is None
    assert code in {fault.code for fault in report.faults}


def test_items_of_other_classes_are_left_out_with_all_that_is_wrong_with_them(tmp_path: Path) -> None:
    rows = [["a", "label"], *([n, "xyz"[n % 3]] for n in range(12)), ["broken", "z"]]
    path = write_csv(tmp_path / "a.csv", rows)
    report, contents = examine(path, Reading(only=("x", "y"), labels=("y", "x")))
    assert report.faults == ()
    assert contents is not None
    assert contents.labels == ("x", "y") * 4
    assert list(report.classes) == ["y", "x"]
    report, _ = examine(path, Reading(only=("x", "q")))
    assert ("class_missing", "q") in faults(report)


def test_what_cannot_be_read_is_put_in_quarantine_up_to_a_share(tmp_path: Path) -> None:
    rows = [["a", "label"], *([n, "xy"[n % 2]] for n in range(98)), ["bad", "x"], [1]]
    path = write_csv(tmp_path / "a.csv", rows)
    report, contents = examine(path, Reading(on_bad="quarantine", max_bad=0.02))
    assert report.faults == ()
    assert contents is not None
    assert len(contents) == report.items == 98
    assert contents.place(97) == "row 99"
    assert [(fault.code, fault.place) for fault in report.quarantined] == [
        ("not_a_number", "row 100, column a"),
        ("ragged_row", "row 101"),
    ]
    assert report.quarantined_count == 2
    assert "quarantined" in {warning.code for warning in report.warnings}
    report, contents = examine(path, Reading(on_bad="quarantine", max_bad=0.01))
    assert contents is None
    assert [fault.code for fault in report.faults] == ["too_many_bad", "not_a_number", "ragged_row"]


# --- Attacks ----------------------------------------------------------------------------------------------------------


def test_checksums_are_the_known_ones() -> None:
    # From RFC 3720, appendix B.4.
    assert crc32c(bytes(32)) == 0x8A9136AA
    assert crc32c(b"\xff" * 32) == 0x62A8AB43
    assert crc32c(bytes(range(32))) == 0x46DD794E
    assert crc32c(b"123456789") == 0xE3069283


@pytest.mark.parametrize("length", [0, 1, 63, 64, 255, 256, 257, 320, 1000, 4096, 70_001])
def test_long_data_has_the_checksum_it_has_byte_by_byte(length: int) -> None:
    data = np.random.default_rng(length).bytes(length)
    register = 0xFFFFFFFF
    for byte in data:
        register ^= byte
        for _ in range(8):
            register = (register >> 1) ^ (0x82F63B78 if register & 1 else 0)
    assert crc32c(data) == register ^ 0xFFFFFFFF


def test_an_example_is_read_as_tensorflow_wrote_it(tmp_path: Path) -> None:
    import tensorflow as tf

    example = tf.train.Example()
    example.features.feature["f"].float_list.value.extend([1.5, -2])
    example.features.feature["i"].int64_list.value.extend([-3, 2**40])
    example.features.feature["t"].bytes_list.value.extend(["é".encode()])
    example.features.feature["b"].bytes_list.value.extend([b"\xff\x00"])
    found = parsed_example(example.SerializeToString())
    assert found == {"f": [1.5, -2.0], "i": [-3, 2**40], "t": "é", "b": b"\xff\x00"}


def header(length: int) -> bytes:
    packed = struct.pack("<Q", length)
    return packed + struct.pack("<I", masked(packed))


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (header(2**63), "too_large"),
        (header(2**64 - 1), "too_large"),
        (header(100) + b"only this", "cut_off"),
        (header(10)[:7], "cut_off"),
        (struct.pack("<QI", 5, 0) + b"hello", "broken_length"),
        (header(5) + b"hello" + struct.pack("<I", masked(b"hello")), "not_an_example"),
    ],
)
def test_records_made_to_break_their_reader(tmp_path: Path, raw: bytes, code: str) -> None:
    good = write_tfrecord(tmp_path / "good", [{"features": [1.0], "label": "x"}]).read_bytes()
    (tmp_path / "data").write_bytes(good + raw)
    report, contents = check(tmp_path / "data", DatasetFormat.TFRECORD)
    assert contents is None
    told = [fault for fault in report.faults if fault.code == code]
    assert [fault.place for fault in told] == ["record 1"]
    assert f"byte {len(good)}" in told[0].message or "byte" in told[0].message


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("[" * 100_000, "not_json"),
        ('{"a":' * 50_000, "not_json"),
        ("[1, 2]", "not_json"),
        ('{"text": "a", "label": NaN}', "not_json"),
        ('{"text": "a", "label": 1e999}', "bad_label"),
        ('{"text": "a", "label": {"deep": 1}}', "bad_label"),
        ('{"text": "a", "label": ["x", "y"]}', "bad_label"),
        ('{"text": 5, "label": "x"}', "not_a_text"),
        ('{"image": "!", "label": "x"}', "mixed_kinds"),
        ('{"other": "a", "label": "x"}', "missing_input"),
        ('{"text": "\\ud800", "label": "x"}', "not_a_text"),
        ('{"text": "a", "label": "\\ud800"}', "bad_label"),
    ],
)
def test_lines_made_to_break_their_reader(tmp_path: Path, line: str, code: str) -> None:
    lines = [{"text": f"one {n}", "label": "xy"[n % 2]} for n in range(6)]
    report, contents = check(write_jsonl(tmp_path / "a.jsonl", [*lines, line]))
    assert contents is None
    assert [(fault.code, fault.place.partition(",")[0]) for fault in report.faults] == [(code, "line 7")]
    json.dumps(report.to_dict(), ensure_ascii=False).encode()


def test_a_line_without_end_is_read_no_further_and_the_next_one_is(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    with path.open("wb") as stream:
        stream.write(b'{"text": "good", "label": "x"}\n{"text": "')
        stream.truncate(jsonl.LONGEST_LINE + 1000)
        stream.seek(0, 2)
        stream.write(b'\n{"text": "broken\n')
    report, _ = check(path, DatasetFormat.JSONL)
    assert {("line_too_long", "line 2"), ("not_json", "line 3")} <= faults(report)


@pytest.mark.parametrize(
    ("numbers", "code"),
    [([1.0], "wrong_width"), ([1, [2]], "not_a_number"), (["a", 2], "not_a_number"), ([1e39, 2], "not_finite")],
)
def test_numbers_of_another_shape(tmp_path: Path, numbers: list[Any], code: str) -> None:
    lines = [{"features": [n, n * n], "label": "xy"[n % 2]} for n in range(6)]
    report, _ = check(write_jsonl(tmp_path / "a.jsonl", [*lines, {"features": numbers, "label": "x"}]))
    assert [fault.code for fault in report.faults] == [code]
    assert report.faults[0].place.startswith("line 7")


@pytest.mark.parametrize("where", ["end", "middle"])
def test_a_table_with_a_lying_footer(tmp_path: Path, where: str) -> None:
    path = written(tmp_path, "parquet")
    raw = bytearray(path.read_bytes())
    if where == "end":
        raw[-8:-4] = struct.pack("<I", 2**31 - 1)
    else:
        raw[4 : len(raw) // 3] = b"\xff" * (len(raw) // 3 - 4)
    path.write_bytes(raw)
    report, contents = check(path)
    assert contents is None
    assert "not_parquet" in {fault.code for fault in report.faults}
