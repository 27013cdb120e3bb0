"""What becomes of an upload, and that nothing else is left of it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from service.domain.dataset import DatasetFormat, dataset_id
from service.domain.errors import Conflict, DatasetNotFound, InvalidDataset, InvalidInput, ModelFailed
from service.domain.jobs import JobRequest
from tests.application.tuning_fakes import Bench


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    await bench.close()


def files(bench: Bench) -> list[str]:
    return sorted(path.name for place in ("uploads", "datasets") for path in (bench.directory / place).iterdir())


async def test_good_data_is_kept_under_the_name_of_its_content(bench: Bench) -> None:
    tuning = bench.service()
    dataset = await bench.dataset(tuning, "good")
    assert dataset.report.digest is not None
    assert dataset.id == dataset_id(dataset.report.digest)
    assert await tuning.datasets.get(dataset.id) == dataset
    assert files(bench) == [dataset.file]
    assert tuning.datasets.file(dataset).read_text() == "good"
    assert bench.observer.checks == [True]


async def test_faulty_data_is_refused_with_every_fault_and_nothing_is_left(bench: Bench) -> None:
    tuning = bench.service()
    with pytest.raises(InvalidDataset) as refused:
        await bench.dataset(tuning, "bad")
    assert [fault.code for fault in refused.value.faults] == ["nan", "one_class"]
    assert refused.value.fault_count == 7
    assert (files(bench), await tuning.datasets.all()) == ([], [])
    assert bench.observer.checks == [False]


async def test_data_that_does_not_fit_the_base_is_refused_and_nothing_is_left(bench: Bench) -> None:
    tuning = bench.service()
    with bench.files.incoming() as file:
        file.write_text("width 9")
        with pytest.raises(InvalidDataset) as refused:
            await tuning.tune(file, "a.csv", JobRequest("flowers", "iris", ""))
    assert [fault.code for fault in refused.value.faults] == ["wrong_width"]
    assert (files(bench), await tuning.datasets.all(), await tuning.jobs.list()) == ([], [], [])


async def test_a_request_that_cannot_succeed_is_refused_before_its_data_is_looked_at(bench: Bench) -> None:
    tuning = bench.service()
    with bench.files.incoming() as file, pytest.raises(InvalidInput):
        await tuning.tune(file, "a.csv", JobRequest("../flowers", "iris", ""))
    assert bench.checker.asked == []


async def test_upload_and_job_in_one_call(bench: Bench) -> None:
    tuning = bench.service()
    with bench.files.incoming() as file:
        file.write_text("good")
        asked = JobRequest("flowers", "iris", "", {"l2": 1}, priority=3, on_success="canary:20")
        job = (await tuning.tune(file, "a.csv", asked, "csv", {"label": "kind"}, "key")).job
    assert (await tuning.datasets.get(job.request.dataset)).options == {"label": "kind"}
    assert job.request == replace(asked, dataset=job.request.dataset)
    assert bench.checker.asked == [(DatasetFormat.CSV, {"label": "kind"})]


async def test_a_check_that_breaks_leaves_nothing(bench: Bench) -> None:
    tuning = bench.service()
    with pytest.raises(ModelFailed):
        await bench.dataset(tuning, "broken")
    assert files(bench) == []


async def test_the_same_content_is_one_dataset(bench: Bench) -> None:
    tuning, other = bench.service("one"), bench.service("other")
    first = await bench.dataset(tuning)
    again = await asyncio.gather(*(bench.dataset(service) for service in (tuning, other) * 4))
    assert set(again_ids := [dataset.id for dataset in again]) == {first.id}
    assert len(again_ids) == 8
    assert all(dataset == first for dataset in again)
    assert files(bench) == [first.file]


async def test_content_that_was_lost_is_mended_by_its_upload(bench: Bench) -> None:
    tuning, other = bench.service("one"), bench.service("other")
    first = await bench.dataset(tuning)
    for _ in range(2):
        tuning.datasets.file(await tuning.datasets.get(first.id)).unlink()
        again = await asyncio.gather(*(bench.dataset(service) for service in (tuning, other) * 4))
        stored = await tuning.datasets.get(first.id)
        assert {dataset.id for dataset in again} == {first.id}
        assert files(bench) == [stored.file]
        assert tuning.datasets.file(stored).read_text() == "good"


@pytest.mark.parametrize(
    ("filename", "shown"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\data\\flowers.csv", "flowers.csv"),
        ("a\0b\n.csv", "ab.csv"),
        ("", "upload"),
        ("/", "upload"),
        ("x" * 10_000, "x" * 200),
        ("fleurs séchées.zip", "fleurs séchées.zip"),
        ("\ud800.csv", ".csv"),
    ],
)
async def test_a_filename_is_shown_and_never_a_path(bench: Bench, filename: str, shown: str) -> None:
    tuning = bench.service()
    with bench.files.incoming() as file:
        file.write_text("good")
        dataset = await tuning.datasets.accept(file, filename)
    assert dataset.filename == shown
    assert [path.parent for path in bench.directory.rglob(f"{dataset.id}*")] == [bench.directory / "datasets"]
    assert await tuning.datasets.all() == [dataset]


@pytest.mark.parametrize(
    ("format", "options"),
    [
        ("exe", {}),
        ("CSV ", {}),
        (None, {"label": ""}),
        (None, {"label": "a\0"}),
        (None, {"label": "x" * 201}),
        (None, {"output": "/etc/passwd"}),
    ],
)
async def test_odd_formats_and_options_are_refused(bench: Bench, format: str | None, options: dict[str, str]) -> None:
    tuning = bench.service()
    with bench.files.incoming() as file:
        file.write_text("good")
        with pytest.raises(InvalidInput):
            await tuning.datasets.accept(file, "a.csv", format, options)
    assert files(bench) == []


async def test_a_dataset_is_deleted_with_its_file_unless_a_job_needs_it(bench: Bench) -> None:
    tuning = bench.service()
    dataset = await bench.dataset(tuning)
    job = await tuning.jobs.submit(JobRequest("flowers", "iris", dataset.id))
    with pytest.raises(Conflict, match=job.id):
        await tuning.datasets.delete(dataset.id)
    assert files(bench) == [dataset.file]
    await tuning.jobs.cancel(job.id)
    await tuning.datasets.delete(dataset.id)
    assert files(bench) == []
    for id in (dataset.id, "../../jobs.db", "ds-\0", "\ud800", ""):
        with pytest.raises(DatasetNotFound):
            await tuning.datasets.delete(id)
    assert (await tuning.jobs.get(job.id)).request.dataset == dataset.id


async def test_a_start_sweeps_what_the_killed_left_and_nothing_else(bench: Bench) -> None:
    tuning = bench.service()
    kept = await bench.dataset(tuning, "kept")
    (bench.directory / "uploads" / "upload-of-the-dead").write_text("x")
    (bench.directory / "datasets" / "ds-moved-in-before-its-row.csv").write_text("x")
    with bench.files.incoming() as receiving, bench.files.incoming() as accepting:
        bench.files.keep(accepting, "ds-whose-row-comes-now.csv")
        await tuning.datasets.sweep()
        assert sorted(files(bench)) == sorted([receiving.name, kept.file, "ds-whose-row-comes-now.csv"])
    await tuning.datasets.sweep()
    assert files(bench) == [kept.file]


def test_a_lock_dies_with_its_process(tmp_path: Path) -> None:
    """What is swept depends on it: the child is killed in the middle of an upload."""
    bench = Bench(tmp_path)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        with bench.files.incoming():
            os.write(writing, b"1")
            os.kill(os.getpid(), 9)
    os.waitpid(child, 0)
    assert os.read(reading, 1) == b"1"
    assert len(files(bench)) == 1
    assert bench.files.sweep(list) == 1
    assert files(bench) == []
    os.close(reading)
    os.close(writing)
    bench.database.close()
