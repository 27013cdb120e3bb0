"""A head that answers at once: of the means of its classes, by a base that is live, until what is trained replaces it.

It stands in for the first version of a head, and only while its job goes on: no gate has judged it. So it is gone when
the job ends without a version, be it that the gate refused, and gives way to the version when there is one. Whatever
goes wrong with it is told, and the job is none the worse for it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import numpy as np

from service.application.ports import Features, GoldenPair, LiveBases, LiveModels, ProvisionalShelf
from service.application.tuning.datasets import Datasets
from service.application.tuning.ledger import Ledger
from service.application.tuning.notices import ENDED
from service.application.tuning.receiving import receiving
from service.domain.artifact import HEAD_ROUTES, BaseRef, Manifest, ModelKind
from service.domain.dataset import Dataset
from service.domain.errors import InvalidInput, JobNotFound, NotReady, ServiceError
from service.domain.heads import AnswerForm, Head
from service.domain.jobs import Job
from service.domain.learning import LearningTask
from service.domain.provisional import ClassMeans, class_means
from service.domain.sample import MOST_BYTES, MOST_ITEMS, Sample, SampleWish
from service.domain.tensors import DEFAULT_SIGNATURE, Tensors

log = logging.getLogger(__name__)
LARGEST_FILE = 2 * MOST_BYTES
_PROOF = 2
"""Items of the golden pair."""
_LINGERS_S = 60.0
"""How long one waits for the version that its job has published to be seen, and no longer."""


@dataclass(frozen=True, slots=True)
class Provisional:
    """What came of a wish for a head at once."""

    problem: str | None
    """Why none answers, if so."""
    items: int = 0
    """That it was made of."""
    accuracy: float | None = None
    """Share of them it was right about, each left out in turn."""


@dataclass(frozen=True, slots=True)
class _Made:
    head: Head
    cut: str
    accuracy: float
    golden: GoldenPair


@dataclass(frozen=True, slots=True)
class AtOnce:
    """What heads at once take: the bases that answer now, and where to put them."""

    bases: LiveBases
    shelf: ProvisionalShelf


class Provisionals:
    """Makes heads of class means, and takes them away when their time is over."""

    def __init__(self, ledger: Ledger, datasets: Datasets, models: LiveModels, takes: AtOnce) -> None:
        self._ledger, self._datasets, self._models = ledger, datasets, models
        self._bases, self._shelf = takes.bases, takes.shelf

    @asynccontextmanager
    async def wished(self, base: Manifest) -> AsyncIterator[SampleWish]:
        """A wish for a sample that a base can take, in a file that is gone after the block."""
        async with receiving(self._datasets) as file:
            yield SampleWish(file, base.input)

    async def sampled(self, job: Job, base: Manifest) -> Provisional:
        """As ``made``, of a job whose data is looked at once more for a sample."""
        try:
            async with self.wished(base) as wish:
                await self._datasets.sample(await self._datasets.get(job.request.dataset), wish)
                return await self.made(job, base, wish)
        except ServiceError as error:
            return self._told(job, str(error))

    async def made(self, job: Job, base: Manifest, wish: SampleWish) -> Provisional:
        """Let a head of the sample answer in the name of a job that has just been asked for; or why none does."""
        head = job.request.head
        if job.state.terminal:
            return self._told(job, "the job has ended")
        if self._models.listings(head):
            return self._told(job, f"{head} has a version that was published")
        try:
            sample = await self._ledger.call(_read, wish)
            listing = self._models.live_listing(job.request.base)
            if listing is None or listing.manifest is None or listing.manifest.digest != base.digest:
                raise NotReady("the base has another version now")
            dataset = await self._datasets.get(job.request.dataset)
            features = await self._bases.features(job.request.base, base.digest, sample.inputs)
            made = await asyncio.to_thread(_head, sample, dataset, features, base)
            reference = BaseRef(listing.id.model, listing.id.version, base.digest)
            manifest = _manifest(job, base, reference, made, features)
            await self._ledger.call(self._shelf.put, head, manifest, made.head, made.golden)
            problem = await self._bases.taken_up(head)
        except (ServiceError, OSError, np.linalg.LinAlgError) as error:
            return self._told(job, str(error))
        if problem is not None:
            return self._told(job, problem)
        log.info("head %s answers provisionally from %d items", head, len(sample.labels), extra=_extra(job))
        return Provisional(None, len(sample.labels), made.accuracy)

    def _told(self, job: Job, problem: str) -> Provisional:
        log.warning("no provisional head %s: %s", job.request.head, problem, extra=_extra(job))
        return Provisional(problem)

    async def tend(self, every_s: float) -> None:
        """Take away what has had its time, until cancelled."""
        with self._ledger.notices.listening(ENDED) as bell:
            while True:
                try:
                    await self.look()
                except (NotReady, OSError) as error:
                    log.warning("provisional heads stay as they are: %s", error, extra={"action": "provisional"})
                await bell.wait(every_s)

    async def look(self) -> None:
        """Take away what has had its time by now."""
        for head, job_id in (await self._ledger.call(self._shelf.held)).items():
            if self._models.listings(head) or await self._over(job_id):
                await self._ledger.call(self._shelf.remove, head)
                log.info("the provisional head %s has had its time", head)

    async def _over(self, job_id: str) -> bool:
        try:
            job = await self._ledger.call(self._ledger.store.job, job_id)
        except JobNotFound:
            return True
        if not job.state.terminal:
            return False
        ended = job.finished if job.finished is not None else job.created
        return job.version is None or self._ledger.clock.now() - ended > _LINGERS_S


def _extra(job: Job) -> dict[str, str]:
    return {"action": "provisional", "job": job.id}


def _read(wish: SampleWish) -> Sample:
    with wish.into.open("rb") as file:
        data = file.read(LARGEST_FILE + 1)
    if not data:
        raise InvalidInput("only of data with one class an item, that the base takes, can a head be made at once")
    if len(data) > LARGEST_FILE:
        raise InvalidInput("the sample of the data is larger than any may be")
    sample = Sample.from_bytes(data, wish.spec)
    if len(sample.labels) > MOST_ITEMS:
        raise InvalidInput("the sample of the data has more items than any may have")
    return sample


def _head(sample: Sample, dataset: Dataset, features: Features, base: Manifest) -> _Made:
    """The head on the cut that tells left out items apart best. Computes."""
    labels = tuple(dataset.report.classes)
    numbers = {label: number for number, label in enumerate(labels)}
    try:
        targets = np.array([numbers[label] for label in sample.labels], dtype=np.int64)
    except KeyError as error:
        raise InvalidInput(f"the sample has a label {error} that the data has not") from error
    found: dict[str, ClassMeans] = {
        cut: class_means(features.by_cut[cut], targets, len(labels)) for cut in base.features if cut in features.by_cut
    }
    if not found:
        raise InvalidInput("the base offers none of its features")
    cut = min(found, key=lambda one: found[one].loss)
    best = found[cut]
    head = Head(best.weights, best.bias, labels, LearningTask(dataset.report.task))
    outputs = head.answer(features.by_cut[cut][:_PROOF], AnswerForm.PREDICT)
    proof: Tensors = {alias: array for alias, array in outputs.items() if array.dtype.kind == "f"}
    golden = GoldenPair(DEFAULT_SIGNATURE, {base.input.name: sample.inputs[:_PROOF]}, proof)
    return _Made(head, cut, best.accuracy, golden)


def _manifest(job: Job, base: Manifest, reference: BaseRef, made: _Made, features: Features) -> Manifest:
    routes = {
        name: route
        for name, route in HEAD_ROUTES.items()
        if route.via in features.signatures and made.head.reply.gives(route.form)
    }
    return Manifest(
        kind=ModelKind.HEAD,
        task=str(made.head.task),
        labels=made.head.labels,
        input=base.input,
        digest="",
        files={},
        base=reference,
        cut=made.cut,
        routes=routes,
        provenance={"job_id": job.id, "provisional": True, "dataset": job.request.dataset},
    )
