"""Heads at once: what is asked for, what comes of it, and that the job is none the worse whatever does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.application.ports import Features, GoldenPair
from service.application.tuning.jobs import Ordered
from service.application.tuning.provisional import AtOnce
from service.application.tuning.tuning import Tuning
from service.domain.artifact import Manifest, ModelKind
from service.domain.dataset import DatasetFormat, DatasetReport
from service.domain.errors import InvalidDataset, NotSupported, Overloaded
from service.domain.heads import AnswerForm, Head
from service.domain.jobs import JobRequest, JobState
from service.domain.sample import Sample, SampleWish
from service.domain.tensors import Array
from tests.application.tuning_fakes import FAILED, STUCK, WHOLE, Bench, FakeChecker, manifest

INPUTS = np.random.default_rng(0).normal(size=(10, 4)).astype(np.float32) + 5 * (np.arange(10) % 2)[:, np.newaxis]
SAMPLE = Sample(("a", "b") * 5, INPUTS.astype(np.float32))


class SamplingChecker(FakeChecker):
    """Hands over what a test gives it."""

    def __init__(self) -> None:
        super().__init__()
        self.sample: bytes = SAMPLE.to_bytes()

    async def check(
        self,
        file: Path,
        format: DatasetFormat | None,
        options: Mapping[str, str],
        sample: SampleWish | None = None,
    ) -> DatasetReport:
        report = await super().check(file, format, options)
        if sample is not None and not report.fault_count:
            await asyncio.to_thread(sample.into.write_bytes, self.sample)
        return report


class Bases:
    """Its features are the inputs; another cut has nothing but noise in it."""

    def __init__(self) -> None:
        self.refusal: Exception | None = None
        self.not_taken_up: str | None = None
        self.asked: list[tuple[str, str, int]] = []

    async def features(self, base: str, digest: str, inputs: Array) -> Features:
        self.asked.append((base, digest, len(inputs)))
        if self.refusal is not None:
            raise self.refusal
        noise = np.random.default_rng(1).normal(size=(len(inputs), 4)).astype(np.float32)
        return Features({"noise": noise, "features": inputs}, {"features", "features_from_examples"})

    async def taken_up(self, head: str) -> str | None:
        return self.not_taken_up


class Shelf:
    def __init__(self) -> None:
        self.heads: dict[str, tuple[Manifest, Head, GoldenPair]] = {}
        self.full = False
        self.changed = asyncio.Event()

    def put(self, model: str, manifest: Manifest, head: Head, golden: GoldenPair) -> None:
        if self.full:
            raise OSError("No space left on device")
        self.heads[model] = manifest, head, golden

    def held(self) -> Mapping[str, str]:
        return {name: manifest.job_id or "" for name, (manifest, _, _) in self.heads.items()}

    def remove(self, model: str) -> None:
        del self.heads[model]


class Ward:
    def __init__(self, directory: Path) -> None:
        self.bench, self.bases, self.shelf = Bench(directory), Bases(), Shelf()
        self.bench.checker = self.checker = SamplingChecker()
        base = manifest(ModelKind.BASE)
        listing = self.bench.models.found["iris"]
        self.bench.models.found["iris"] = replace(listing, manifest=replace(base, features={"noise": 4, "features": 4}))
        self.tuning: Tuning = self.bench.service(at_once=AtOnce(self.bases, self.shelf))

    async def tune(self, text: str = "good", acts: Any = WHOLE, head: str = "flowers", **more: Any) -> Ordered:
        with self.bench.files.incoming() as file:
            file.write_text(text)
            asked = JobRequest(head, "iris", "", {"acts": list(acts)})
            return await self.tuning.tune(file, "a.csv", asked, **{"provisional": True, **more})

    async def until(self, state: JobState, job_id: str) -> None:
        async for _ in self.tuning.jobs.watch(job_id):
            if (await self.tuning.jobs.get(job_id)).state is state:
                return
        assert (await self.tuning.jobs.get(job_id)).state is state

    async def gone(self) -> None:
        async with asyncio.timeout(30):
            while self.shelf.heads:  # noqa: ASYNC110 - a look at a shelf announces itself nowhere
                await asyncio.sleep(0.01)


@pytest.fixture
async def ward(tmp_path: Path) -> AsyncIterator[Ward]:
    ward = Ward(tmp_path)
    yield ward
    await ward.bench.close()
    assert list((tmp_path / "uploads").iterdir()) == [], "no sample is left"


async def test_the_head_is_of_the_cut_that_tells_the_classes_apart_and_proves_itself(ward: Ward) -> None:
    ordered = await ward.tune()
    assert ordered.provisional is not None
    assert (ordered.provisional.problem, ordered.provisional.items, ordered.provisional.accuracy) == (None, 10, 1.0)
    said, head, golden = ward.shelf.heads["flowers"]
    assert (said.cut, said.labels, said.job_id, said.thin) == ("features", ("a", "b"), ordered.job.id, True)
    assert said.base is not None
    assert (said.base.model, said.base.version, said.base.digest) == ("iris", 1, "digest")
    assert set(said.routes) == {"serving_default", "classify"}, "what the base has signatures for"
    answers = head.answer(SAMPLE.inputs, AnswerForm.PREDICT)
    assert [str(best.decode()) for best in answers["classes"][:, 0]] == list(SAMPLE.labels)
    np.testing.assert_allclose(golden.outputs["probabilities"], answers["probabilities"][:2], rtol=1e-6)
    np.testing.assert_array_equal(golden.inputs["inputs"], SAMPLE.inputs[:2])


async def test_nothing_of_it_is_done_unless_it_is_asked_for(ward: Ward) -> None:
    ordered = await ward.tune(provisional=False)
    assert ordered.provisional is None
    assert (ward.shelf.heads, ward.bases.asked) == ({}, [])


async def test_of_a_dataset_that_is_here_already(ward: Ward) -> None:
    dataset = await ward.bench.dataset(ward.tuning)
    asked = JobRequest("flowers", "iris", dataset.id, {"acts": WHOLE})
    ordered = await ward.tuning.order(asked, provisional=True)
    assert ordered.provisional is not None
    assert ordered.provisional.problem is None
    assert ward.shelf.held() == {"flowers": ordered.job.id}


async def test_it_goes_when_its_job_ends_without_a_version(ward: Ward) -> None:
    for acts, state in ((STUCK, JobState.CANCELLED), ([{"say": FAILED}], JobState.FAILED)):
        ordered = await ward.tune(acts=acts)
        assert ward.shelf.heads
        work = ward.bench.at_work(ward.tuning) if state is JobState.CANCELLED else None
        if work is not None:
            await ward.tuning.jobs.cancel(ordered.job.id)
        await ward.until(state, ordered.job.id)
        await ward.gone()


async def test_it_stays_until_the_version_of_its_job_is_seen_but_not_for_ever(ward: Ward) -> None:
    ordered = await ward.tune()
    ward.bench.at_work(ward.tuning)
    await ward.until(JobState.SUCCEEDED, ordered.job.id)
    assert ward.tuning.provisionals is not None
    await ward.tuning.provisionals.look()
    assert ward.shelf.heads, "the version that was published is not seen yet"
    ward.bench.models.found["flowers"] = replace(ward.bench.models.found["petals"])
    await ward.tuning.provisionals.look()
    assert not ward.shelf.heads

    del ward.bench.models.found["flowers"]
    again = await ward.tune(text="other data")
    await ward.until(JobState.SUCCEEDED, again.job.id)
    ward.bench.clock.ahead += 3600
    await ward.gone()


@pytest.mark.parametrize(
    "sample",
    [
        b"",
        b"nonsense",
        Sample(("a", "b"), SAMPLE.inputs[:2]).to_bytes(),
        Sample(("a", "c") * 5, SAMPLE.inputs).to_bytes(),
        Sample(("a",) * 10, SAMPLE.inputs).to_bytes(),
        Sample(("a", "b") * 5, np.full((10, 4), np.nan, np.float32)).to_bytes(),
        Sample(("a", "b") * 300, np.zeros((600, 4), np.float32)).to_bytes(),
    ],
    ids=["none", "nonsense", "one-each", "another-label", "a-class-is-missing", "no-numbers", "too-many"],
)
async def test_a_sample_that_no_head_can_be_made_of_is_said_and_the_job_goes_on(ward: Ward, sample: bytes) -> None:
    ward.checker.sample = sample
    ordered = await ward.tune()
    assert ordered.provisional is not None
    assert ordered.provisional.problem
    assert ward.shelf.heads == {}
    ward.bench.at_work(ward.tuning)
    await ward.until(JobState.SUCCEEDED, ordered.job.id)


async def test_a_base_a_disk_or_a_loader_that_refuses_is_said(ward: Ward) -> None:
    ward.bases.refusal = Overloaded("too many requests wait")
    assert (await ward.tune()).provisional.problem == "too many requests wait"  # type: ignore[union-attr]
    ward.bases.refusal, ward.shelf.full = None, True
    assert "No space" in str((await ward.tune("more")).provisional)
    ward.shelf.full, ward.bases.not_taken_up = False, "it did not answer within 10 s"
    ordered = await ward.tune("even more")
    assert ordered.provisional is not None
    assert ordered.provisional.problem == "it did not answer within 10 s"
    assert ward.shelf.held() == {"flowers": ordered.job.id}, "it is taken away with its job, should it answer later"


async def test_a_head_that_has_a_version_needs_none(ward: Ward) -> None:
    ordered = await ward.tune(head="petals")
    assert ordered.provisional is not None
    assert ordered.provisional.problem == "petals has a version that was published"
    assert ward.bases.asked == []


async def test_faulty_data_is_refused_as_ever(ward: Ward) -> None:
    with pytest.raises(InvalidDataset):
        await ward.tune("bad")
    assert (ward.shelf.heads, ward.bases.asked) == ({}, [])


async def test_without_a_shelf_it_is_refused_before_the_data_is_looked_at(ward: Ward) -> None:
    plain = ward.bench.service("second")
    with ward.bench.files.incoming() as file:
        file.write_text("good")
        with pytest.raises(NotSupported):
            await plain.tune(file, "a.csv", JobRequest("flowers", "iris", ""), provisional=True)
    dataset = await ward.bench.dataset(ward.tuning)
    with pytest.raises(NotSupported):
        await plain.order(JobRequest("flowers", "iris", dataset.id), provisional=True)
    assert await plain.jobs.list() == []
