"""Features of earlier jobs: found by what an item is, bounded, and never believed against the base itself."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from service.domain.artifact import InputKind, InputSpec, Manifest, ModelKind
from training.known_features import DIGESTS, KnownFeatures

BASE = Manifest(ModelKind.BASE, "multiclass", ("a",), InputSpec(InputKind.VECTOR, (2,)), "d" * 64, {}, {"cut/1": 3})
OTHER = Manifest(ModelKind.BASE, "multiclass", ("a",), InputSpec(InputKind.VECTOR, (2,)), "e" * 64, {}, {"cut/1": 3})
DIGEST = [f"{number:064x}" for number in range(100)]


def arrays(count: int, shift: float = 0.0) -> dict[str, np.ndarray]:
    return {"cut-0": np.arange(count * 3, dtype=np.float32).reshape(count, 3) + np.float32(shift)}


def add(known: KnownFeatures, first: int, count: int, base: Manifest = BASE) -> None:
    known.add(base, DIGEST[first : first + count], arrays(count, first), np.arange(count))


def found(known: KnownFeatures, digests: list[str], base: Manifest = BASE) -> dict[int, list[float]]:
    rows = {}
    for segment in known.find(base, digests):
        for item, row in zip(segment.items, segment.read("cut-0", slice(0, None)), strict=True):
            rows[int(item)] = row.tolist()
    return rows


def test_items_are_found_by_what_they_are_wherever_they_stand(tmp_path: Path) -> None:
    known = KnownFeatures(tmp_path, 10**6)
    add(known, 0, 3)
    add(known, 3, 2)
    asked = [DIGEST[4], DIGEST[50], DIGEST[1], DIGEST[1]]
    assert found(known, asked) == {0: [6, 7, 8], 2: [3, 4, 5], 3: [3, 4, 5]}
    assert found(known, asked, OTHER) == {}


def test_only_some_items_of_an_array_are_kept(tmp_path: Path) -> None:
    known = KnownFeatures(tmp_path, 10**6)
    known.add(BASE, [DIGEST[7], DIGEST[9]], arrays(10), np.array([7, 9]))
    assert found(known, DIGEST[:10]) == {7: [21, 22, 23], 9: [27, 28, 29]}


def test_what_was_not_used_for_longest_goes_first(tmp_path: Path) -> None:
    one = 40 * 12 + 40 * 32 + 2 * 128
    known = KnownFeatures(tmp_path, int(2.5 * one))
    add(known, 0, 40)
    (first,) = known.find(BASE, DIGEST[:1])
    os.utime(first.directory, (1000, 1000))
    add(known, 40, 40)
    (second,) = known.find(BASE, DIGEST[40:41])
    os.utime(second.directory, (500, 500))
    first.touch()
    add(known, 80, 20)
    add(known, 80, 20, OTHER)
    assert found(known, DIGEST[:1])
    assert not found(known, DIGEST[40:41])
    # Who holds what has gone meanwhile finds that out by trying.
    with pytest.raises(OSError, match="No such file"):
        second.read("cut-0", slice(0, 1))


def test_what_is_larger_than_all_there_may_be_is_not_kept(tmp_path: Path) -> None:
    known = KnownFeatures(tmp_path, 100)
    add(known, 0, 40)
    assert found(known, DIGEST) == {}
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_segment_that_cannot_be_read_is_removed(tmp_path: Path) -> None:
    known = KnownFeatures(tmp_path, 10**6)
    add(known, 0, 3)
    (segment,) = known.find(BASE, DIGEST[:3])
    (segment.directory / DIGESTS).write_bytes(b"\x93NUMPY")
    assert known.find(BASE, DIGEST[:3]) == []
    assert not segment.directory.exists()


def test_what_a_killed_job_left_half_written_is_never_found_and_goes_in_the_end(tmp_path: Path) -> None:
    known = KnownFeatures(tmp_path, 10**6)
    add(known, 0, 3)
    (segment,) = known.find(BASE, DIGEST[:3])
    half = segment.directory.rename(segment.directory.with_name(".new-half"))
    assert known.find(BASE, DIGEST[:3]) == []
    add(known, 3, 1)
    assert half.exists()
    os.utime(half, (1000, 1000))
    add(known, 4, 1)
    assert not half.exists()
