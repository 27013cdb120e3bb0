"""What a job keeps between its phases comes back as it was."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from training.workarea import WorkArea


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6, dtype=np.float32).reshape(2, 3),
        np.array([b"plain", b"", b"ends in zeros\0\0", "größer".encode()], dtype=object),
        np.array([], dtype=object),
    ],
)
def test_arrays_come_back_the_same(tmp_path: Path, array: np.ndarray) -> None:
    area = WorkArea(tmp_path, {"job": 1})
    area.save_arrays("sample", inputs=array, items=np.arange(2))
    found = WorkArea(tmp_path, {"job": 1}).arrays("sample")
    assert sorted(found) == ["inputs", "items"]
    assert found["inputs"].dtype == array.dtype
    assert found["inputs"].tolist() == array.tolist()


def test_another_task_starts_anew(tmp_path: Path) -> None:
    WorkArea(tmp_path, {"job": 1}).finish("split", {"train": [1]})
    assert WorkArea(tmp_path, {"job": 1}).result("split") == {"train": [1]}
    assert WorkArea(tmp_path, {"job": 2}).result("split") is None
    assert WorkArea(tmp_path, {"job": 1}).result("split") is None
