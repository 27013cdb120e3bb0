"""Jobs as their operators see them: asked for, listed, watched, cancelled.

Promises that a request that cannot succeed is refused at once and with its reason. Runs nothing: what is stored here
as queued, the supervisor finds.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from service.application.ports import LiveModels, Trainer
from service.application.tuning.datasets import Datasets
from service.application.tuning.ledger import Ledger
from service.application.tuning.lookout import Lookout
from service.application.tuning.policy import TuningPolicy
from service.application.tuning.provisional import Provisional
from service.application.tuning.repeats import made_already
from service.application.tuning.shared_looks import SharedLooks
from service.domain.artifact import Manifest, ModelKind
from service.domain.dataset import misfits
from service.domain.errors import Conflict, InvalidDataset, InvalidInput, JobNotFound, ModelNotFound, NotReady
from service.domain.job_queue import check_priority
from service.domain.jobs import TERMINAL_EVENTS, Job, JobEvent, JobRequest, JobState, check_head_name, moved
from service.domain.on_success import OnSuccess

LARGEST_RECIPE = 64 * 1024
LONGEST_KEY = 255
MOST_LISTED = 500
PAGE = 100
_ID = re.compile(r"[a-z0-9-]{1,64}")


@dataclass(frozen=True, slots=True)
class Ordered:
    """The answer to a request: a job that was queued for it, or one that has already made what it asks for."""

    job: Job
    reused: bool
    provisional: Provisional | None = None
    """What came of a wish for a head at once; None without one."""


class Jobs:
    """Takes requests for jobs and tells what became of them."""

    def __init__(
        self, ledger: Ledger, datasets: Datasets, trainer: Trainer, models: LiveModels, policy: TuningPolicy
    ) -> None:
        self._ledger = ledger
        self._datasets = datasets
        self._trainer = trainer
        self._models = models
        self._looks = SharedLooks[tuple[Job, Sequence[JobEvent]]]()
        self._lookout = Lookout(ledger, policy.poll_s)

    def base_for(self, request: JobRequest) -> Manifest:
        """What can be said of a request before its data is seen: the manifest of the base it would build on.

        Raises:
            InvalidInput: anything else in it is not fit for use, or the base is no base.
            ModelNotFound: the base does not answer now.
            Conflict: the head's name is another model's.
        """
        self.check_head(request.head)
        _check_recipe(request.recipe)
        check_priority(request.priority)
        OnSuccess.read(request.on_success)
        return self.base(request.base)

    def check_head(self, head: str) -> None:
        """Raises: InvalidInput, a head cannot be called so; Conflict, another model is."""
        check_head_name(head)
        taken = self._models.listings(head)
        # A job's result is a head, or a whole model where the base was fine-tuned: either names what it was grown on.
        if taken and not any(found.manifest and found.manifest.base for found in taken):
            raise Conflict(f"there is a model {head} that is not a head; choose another name")

    def base(self, base: str) -> Manifest:
        """The manifest of a base that answers now. Raises: ModelNotFound, there is none; InvalidInput, it is a head."""
        listing = self._models.live_listing(base)
        if listing is None or listing.manifest is None:
            raise ModelNotFound(f"no base {base[:80]!r} made by Graft answers now")
        if listing.manifest.kind is not ModelKind.BASE:
            raise InvalidInput(f"{base} is a {listing.manifest.kind}; heads grow on a base")
        return listing.manifest

    async def order(
        self, request: JobRequest, idempotency_key: str | None = None, *, require_new: bool = False
    ) -> Ordered:
        """As ``submit``; but where a job has already made just this, and its version is there, training is not needed,
        and that job is the answer, unless a new one is required.

        Raises:
            As ``submit`` does.
        """
        if not require_new and (idempotency_key is None or await self._job_of(idempotency_key) is None):
            base = self.base_for(request)
            if (made := await made_already(self._ledger, self._models, request, base.digest)) is not None:
                return Ordered(made, True)
        return Ordered(await self.submit(request, idempotency_key), False)

    async def submit(self, request: JobRequest, idempotency_key: str | None = None) -> Job:
        """Queue a job. With a key seen before, the job of then, if the request is the same.

        Raises:
            InvalidInput, ModelNotFound, Conflict: as ``base_for``; Conflict also for a key used for another request.
            DatasetNotFound: there is no such dataset.
            InvalidDataset: it does not fit the base.
        """
        if idempotency_key is not None:
            earlier = await self._job_of(idempotency_key)
            if earlier is not None and earlier.request == request:
                return earlier
        manifest = self.base_for(request)
        dataset = await self._datasets.get(request.dataset)
        if faults := misfits(dataset.report, manifest.input):
            raise InvalidDataset(faults)
        job = Job(f"job-{secrets.token_hex(10)}", request, JobState.QUEUED, self._ledger.clock.now())
        message = f"queued: a version of {request.head} on {request.base} from {request.dataset}"
        event = JobEvent(job.id, f"job.{job.state}", message, job.created)
        return await self._ledger.add(job, event, idempotency_key)

    async def _job_of(self, idempotency_key: str) -> Job | None:
        _check_key(idempotency_key)
        return await self._ledger.call(self._ledger.store.job_of_key, idempotency_key)

    async def places(self, jobs: Sequence[Job]) -> Mapping[str, int]:
        """The places in the queue, from 1, of those of the jobs that could be claimed now: how many claims away each is
        if nothing else is asked for. A job that pauses after a crash has none.
        """
        waiting = {job.id for job in jobs if job.state is JobState.QUEUED}
        if not waiting:
            return {}
        queue = await self._ledger.call(self._ledger.store.queue, self._ledger.clock.now())
        return {id: place for place, id in enumerate(queue, 1) if id in waiting}

    async def get(self, id: str) -> Job:
        """Raises: JobNotFound."""
        if not _ID.fullmatch(id):
            raise JobNotFound("there is no job of this name")
        return await self._ledger.call(self._ledger.store.job, id)

    async def list(
        self, state: JobState | None = None, head: str | None = None, after: str | None = None, limit: int = PAGE
    ) -> Sequence[Job]:
        """Newest first, those created before the job ``after``.

        Raises:
            InvalidInput: the limit is not 1 to 500, or there is no job ``after``.
        """
        if not 1 <= limit <= MOST_LISTED:
            raise InvalidInput(f"a page holds 1 to {MOST_LISTED} jobs, not {limit}")
        if head is not None:
            check_head_name(head)
        try:
            if after is not None:
                await self.get(after)
            return await self._ledger.call(self._ledger.store.jobs, state, head, after, limit)
        except JobNotFound as error:
            raise InvalidInput("the page token is none that was given out here") from error

    async def events(self, id: str, after_seq: int = 0, limit: int = PAGE) -> Sequence[JobEvent]:
        """A page of a job's history, in order. Raises: JobNotFound; InvalidInput, the limit is not 1 to 500."""
        if not 1 <= limit <= MOST_LISTED:
            raise InvalidInput(f"a page holds 1 to {MOST_LISTED} events, not {limit}")
        await self.get(id)
        return await self._ledger.call(self._ledger.store.events, id, after_seq, limit)

    async def watch(self, id: str, after_seq: int = 0) -> AsyncGenerator[JobEvent]:
        """A job's history as it is written, from the event after ``after_seq``; ends after the one that ends the job,
        or when the service stops.

        Raises:
            JobNotFound: at the first step.
        """
        notices = self._ledger.notices
        with self._lookout.watching(id) as bell:
            while not notices.closed:
                try:
                    job, page = await self._looks.look((id, after_seq), partial(self._look, id, after_seq))
                except NotReady:
                    if notices.closed:
                        return
                    raise
                for event in page:
                    yield event
                    after_seq = event.seq
                if (page and page[-1].type in TERMINAL_EVENTS) or (not page and job.state.terminal):
                    return
                if not page:
                    await bell.wait()

    async def _look(self, id: str, after_seq: int) -> tuple[Job, Sequence[JobEvent]]:
        job = await self.get(id)
        return job, await self._ledger.call(self._ledger.store.events, id, after_seq, PAGE)

    async def cancel(self, id: str) -> Job:
        """Ask that a job not go on. A queued one is CANCELLED at once; one at work is so when its trainer and all that
        the trainer started are gone. Asking again changes nothing.

        Raises:
            JobNotFound: there is no such job.
            Conflict: it has ended.
        """
        while True:
            job = await self.get(id)
            if job.state is JobState.QUEUED and await self._cancelled_in_queue(job):
                return await self.get(id)
            if job.state.active:
                job = await self._ledger.request_cancel(id)
                if job.state.active:
                    return job
            if job.state.terminal:
                raise Conflict(f"job {id} has ended: it {_ENDED[job.state]}")

    async def _cancelled_in_queue(self, job: Job) -> bool:
        """False when the job left the queue meanwhile."""
        if job.attempt:
            # It ran before, and a trainer of a service that was killed might not have noticed yet. From here on nobody
            # starts another: who claims a job for which a cancel was asked for cancels it.
            await self._ledger.request_cancel(job.id)
            await self._trainer.reap(job.id)
        try:
            await self._ledger.move(moved(job, JobState.CANCELLED, self._ledger.clock.now(), "cancelled in the queue"))
        except Conflict:
            return False
        await self._ledger.call(self._trainer.discard, job.id)
        return True


_ENDED = {JobState.SUCCEEDED: "succeeded", JobState.FAILED: "failed", JobState.CANCELLED: "was cancelled"}


def _check_recipe(recipe: Mapping[str, Any]) -> None:
    try:
        size = len(json.dumps(recipe, allow_nan=False, ensure_ascii=False).encode())
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidInput(f"the recipe is not plain JSON: {error}") from error
    if not isinstance(recipe, dict) or size > LARGEST_RECIPE:
        raise InvalidInput(f"the recipe has to be a JSON object of at most {LARGEST_RECIPE} bytes")


def _check_key(key: str) -> None:
    if not key or not key.isascii() or not key.isprintable() or len(key) > LONGEST_KEY:
        raise InvalidInput(f"an idempotency key is 1 to {LONGEST_KEY} printable ASCII characters")
