"""Datasets on a real S3 server with a local directory before it, as two services on one store use them."""

from __future__ import annotations

from pathlib import Path

import pytest
from s3_server import OwnBucket
from unlucky_proxy import Luck, unlucky

from service.adapters.dataset_files import DatasetDirectory
from service.adapters.object_store import StoredDatasets
from service.domain.errors import NotReady

DAY_S = 86400.0


def kept(files: StoredDatasets, name: str, content: bytes = b"rows") -> None:
    with files.incoming() as file:
        file.write_bytes(content)
        files.keep(file, name)


def test_what_one_service_keeps_another_has(theirs: OwnBucket, tmp_path: Path) -> None:
    one, other = (StoredDatasets(theirs.ours(), DatasetDirectory(tmp_path / name)) for name in ("one", "other"))
    kept(one, "a.csv")
    assert one.path("a.csv").read_bytes() == other.path("a.csv").read_bytes() == b"rows"
    assert other.path("a.csv").is_relative_to(tmp_path / "other")
    one.discard("a.csv")
    assert theirs.keys() == []
    assert not one.path("a.csv").exists()
    assert list((tmp_path / "other/uploads").iterdir()) == []


def test_what_nobody_kept_lies_nowhere_and_leaves_nothing(theirs: OwnBucket, tmp_path: Path) -> None:
    files = StoredDatasets(theirs.ours(), DatasetDirectory(tmp_path))
    assert not files.path("none.csv").exists()
    with files.incoming() as file:
        file.write_bytes(b"rows")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    assert theirs.keys() == []


@pytest.mark.parametrize(
    "harm", [Luck(lambda *_: True, status=500), Luck(lambda *_: True, status=403)], ids=["500", "403"]
)
def test_a_store_that_fails_is_not_ready_and_nothing_is_left_here(
    theirs: OwnBucket, tmp_path: Path, harm: Luck
) -> None:
    there = StoredDatasets(theirs.ours(), DatasetDirectory(tmp_path / "there"))
    kept(there, "b.csv")
    with unlucky(theirs.endpoint, harm) as address:
        files = StoredDatasets(theirs.ours(address), DatasetDirectory(tmp_path / "here"))
        with pytest.raises(NotReady):
            kept(files, "a.csv")
        with pytest.raises(NotReady):
            files.path("b.csv")
        with pytest.raises(NotReady):
            files.discard("b.csv")
    assert [path for path in (tmp_path / "here").rglob("*") if path.is_file()] == []
    assert theirs.keys() == [".datasets/b.csv"]


def test_a_download_that_is_cut_off_is_not_taken_for_the_data(theirs: OwnBucket, tmp_path: Path) -> None:
    kept(StoredDatasets(theirs.ours(), DatasetDirectory(tmp_path / "there")), "a.csv", b"rows" * 1000)
    luck = Luck(lambda method, path: path.endswith("a.csv"), cut=100)
    with unlucky(theirs.endpoint, luck) as address:
        files = StoredDatasets(theirs.ours(address), DatasetDirectory(tmp_path / "here"))
        with pytest.raises(NotReady):
            files.path("a.csv")
        luck.cut = 0
        assert files.path("a.csv").read_bytes() == b"rows" * 1000


def test_what_has_no_row_goes_after_a_day_and_not_before(theirs: OwnBucket, tmp_path: Path) -> None:
    local = DatasetDirectory(tmp_path)
    late = 0.0
    files = StoredDatasets(theirs.ours(), local, now=lambda: _made(theirs) + late)
    kept(files, "wanted.csv")
    kept(files, "stray.csv")
    late = DAY_S - 10
    assert files.sweep(lambda: {"wanted.csv"}) == 1, "the local copy is nobody's but this service's"
    assert len(theirs.keys()) == 2, "another service may be about to write its row"
    late = DAY_S + 10
    assert files.sweep(lambda: {"wanted.csv"}) == 1
    assert theirs.keys() == [".datasets/wanted.csv"]
    assert files.path("wanted.csv").exists()


def _made(theirs: OwnBucket) -> float:
    return max(one.changed.timestamp() for one in theirs.ours().objects().values())
