"""Reports survive the trip through JSON; data is held against what a base takes."""

import json

import pytest

from service.domain.artifact import InputKind, InputSpec
from service.domain.dataset import DatasetFormat, DatasetReport, dataset_id, misfits
from service.domain.faults import Fault

VECTOR = DatasetReport(DatasetFormat.CSV, InputKind.VECTOR, 4, {"z": 1, "a": 3}, (4,), ("w", "x", "y", "z"), "ab" * 32)
IMAGES = DatasetReport(DatasetFormat.ZIP, InputKind.IMAGE, 2, {"cat": 1, "dog": 1}, None, digest="cd" * 32)
BROKEN = DatasetReport(None, None, 0, {}, None, faults=(Fault("empty", "no data", "file"),), fault_count=1)
NPZ = DatasetReport(DatasetFormat.NPZ, InputKind.VECTOR, 2, {"0": 1, "1": 1}, (8, 8), digest="ef" * 32)


@pytest.mark.parametrize("report", [VECTOR, IMAGES, BROKEN, NPZ])
def test_a_report_survives_json(report: DatasetReport) -> None:
    again = DatasetReport.from_dict(json.loads(json.dumps(report.to_dict())))
    assert again == report
    assert list(again.classes) == list(report.classes)


@pytest.mark.parametrize("raw", [{}, {"format": "exe"}, {**VECTOR.to_dict(), "faults": [{"code": "x"}]}])
def test_what_is_no_report_is_refused(raw: dict[str, object]) -> None:
    with pytest.raises((KeyError, ValueError, TypeError)):
        DatasetReport.from_dict(raw)


def test_a_dataset_is_named_by_its_content() -> None:
    assert dataset_id("ab" * 32) == "ds-" + "ab" * 10


@pytest.mark.parametrize(
    ("report", "kind", "shape", "codes"),
    [
        (VECTOR, InputKind.VECTOR, (4,), []),
        (VECTOR, InputKind.VECTOR, (5,), ["wrong_width"]),
        (VECTOR, InputKind.IMAGE, (2, 2, 1), []),
        (VECTOR, InputKind.IMAGE, (28, 28, 1), ["wrong_width"]),
        (NPZ, InputKind.IMAGE, (8, 8, 1), []),
        (NPZ, InputKind.VECTOR, (64,), []),
        (IMAGES, InputKind.IMAGE, (224, 224, 3), []),
        (IMAGES, InputKind.VECTOR, (4,), ["base_mismatch"]),
        (BROKEN, InputKind.VECTOR, (4,), []),
    ],
)
def test_data_that_does_not_fit_is_told_so(
    report: DatasetReport, kind: InputKind, shape: tuple[int, ...], codes: list[str]
) -> None:
    assert [fault.code for fault in misfits(report, InputSpec(kind, shape))] == codes
