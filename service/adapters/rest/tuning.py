"""The tuning API: datasets are uploaded and checked, jobs asked for, watched and cancelled.

Each handler decodes, calls the application and encodes; what may be asked for is decided there, and errors become
statuses in ``errors``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.responses import StreamingResponse

from service.adapters.rest import event_stream, tune_form
from service.adapters.rest.connection import small_body, while_connected
from service.adapters.rest.datasets import datasets_router, form_schema, options_in
from service.adapters.rest.estimates import estimates_router
from service.adapters.rest.event_stream import LARGEST_SEQ
from service.adapters.rest.orders import JobOrder, read_order
from service.adapters.rest.tuning_answers import (
    EventsAnswer,
    JobAnswer,
    JobsAnswer,
    event_answer,
    job_answer,
    provisional_answer,
)
from service.adapters.rest.upload_parts import uploads_router
from service.adapters.rest.uploads import receive_form
from service.application.tuning import Tuning
from service.application.tuning.jobs import Ordered
from service.application.tuning.receiving import receiving
from service.domain.jobs import Job, JobState

LARGEST_ORDER = 256 * 1024
Key = Annotated[str | None, Header(alias="Idempotency-Key", description="Asking again with it gives the same job")]


def tuning_router(tuning: Tuning, *, most_upload_bytes: int, beat_s: float = event_stream.BEAT_S) -> APIRouter:
    """The routes. ``most_upload_bytes`` bounds a file; ``beat_s`` is how often a quiet event stream shows it lives."""
    router = APIRouter(responses={"4XX": {"description": _ERRORS}, "5XX": {"description": _ERRORS}})
    router.include_router(datasets_router(tuning, most_upload_bytes))
    router.include_router(uploads_router(tuning))
    router.include_router(estimates_router(tuning, LARGEST_ORDER))
    router.include_router(_requests(tuning, most_upload_bytes))
    router.include_router(_jobs(tuning, beat_s))
    return router


def _requests(tuning: Tuning, most_bytes: int) -> APIRouter:
    router = APIRouter(prefix="/v1", tags=["jobs"])

    async def answered(ordered: Ordered, response: Response) -> JobAnswer:
        response.headers["location"] = f"/v1/jobs/{ordered.job.id}"
        if ordered.reused:
            response.status_code = 200
            return job_answer(ordered.job, reused=True)
        placed = await _placed(tuning, ordered.job)
        return placed.model_copy(update={"provisional": provisional_answer(ordered.provisional)})

    @router.post(
        "/models/{base}:tune",
        status_code=202,
        openapi_extra=_form(tune_form.fields(), "file", "head"),
        summary="Upload labelled data and tune a head on it",
    )
    async def tune(base: str, request: Request, response: Response, idempotency_key: Key = None) -> JobAnswer:
        """The upload and the job in one call, with the same answers as `POST /v1/jobs`. When the job has succeeded the
        head's new version goes live by itself, unless `on_success` says otherwise; with `provisional` version 0 answers
        until then.
        """
        tuning.jobs.base(base)

        def check(fields: Mapping[str, str]) -> None:
            # What comes before the file is looked at before it, so that nobody sends one for nothing.
            if fields.get("head"):
                tuning.jobs.base_for(tune_form.order_in(fields, base).request())

        async with receiving(tuning.datasets) as file:
            form = await receive_form(request, file, known=tune_form.KNOWN, most_bytes=most_bytes, before_file=check)
            asked = tune_form.order_in(form.fields, base)
            tuned = tuning.tune(
                file,
                form.filename,
                asked.request(),
                form.fields.get("format"),
                options_in(form.fields),
                idempotency_key,
                require_new=asked.require_new,
                provisional=asked.provisional,
            )
            return await answered(await while_connected(request, tuned), response)

    order: dict[str, Any] = {"requestBody": _body("application/json", JobOrder.model_json_schema())}

    @router.post("/jobs", status_code=202, openapi_extra=order, summary="Tune a head on a dataset")
    async def submit(request: Request, response: Response, idempotency_key: Key = None) -> JobAnswer:
        """Training is not needed where a job has made a version from the same data, base and recipe, seed included, and
        the version is there: then that job is the answer, with 200, unless `require_new` is true.
        """
        asked = read_order(JobOrder, await small_body(request, LARGEST_ORDER))
        ordering = tuning.order(
            asked.request(), idempotency_key, require_new=asked.require_new, provisional=asked.provisional
        )
        return await answered(await while_connected(request, ordering), response)

    @router.post("/jobs/{job_id}:cancel", status_code=202, summary="Cancel a job")
    async def cancel(job_id: str) -> JobAnswer:
        """It is cancelled when its state says so: when its trainer, and all that this had started, are gone. A job that
        finishes first has succeeded. 409 when it has ended already.
        """
        return job_answer(await tuning.jobs.cancel(job_id))

    return router


def _jobs(tuning: Tuning, beat_s: float) -> APIRouter:
    router = APIRouter(prefix="/v1/jobs", tags=["jobs"])

    @router.get("", summary="List jobs, newest first")
    async def jobs(
        state: JobState | None = None,
        head: str | None = None,
        page_token: str | None = None,
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
    ) -> JobsAnswer:
        """List jobs, newest first."""
        # One more than asked for tells whether there is a next page.
        found = await tuning.jobs.list(state, head, page_token, limit + 1)
        page, more = found[:limit], len(found) > limit
        places = await tuning.jobs.places(page)
        answers = [job_answer(job, places.get(job.id)) for job in page]
        return JobsAnswer(jobs=answers, next_page_token=page[-1].id if more else None)

    @router.get("/{job_id}", summary="Get a job")
    async def job(job_id: str) -> JobAnswer:
        """Get a job."""
        return await _placed(tuning, await tuning.jobs.get(job_id))

    @router.get(
        "/{job_id}/events", response_model=EventsAnswer, responses=_STREAM, summary="Get or follow a job's history"
    )
    async def events(
        job_id: str,
        request: Request,
        after: Annotated[int, Query(ge=0, le=LARGEST_SEQ)] = 0,
        limit: Annotated[int, Query(ge=1, le=500)] = 100,
    ) -> Any:
        """A page of it; or, with `Accept: text/event-stream`, all of it as server-sent events until the job has ended,
        from after `Last-Event-ID` (or `after`) on.
        """
        if event_stream.is_wanted(request):
            after = event_stream.resumes_after(request, after)
            await tuning.jobs.get(job_id)
            lines = event_stream.stream(tuning.jobs.watch(job_id, after), beat_s)
            return StreamingResponse(lines, media_type=event_stream.MEDIA_TYPE, headers=event_stream.HEADERS)
        page = [event_answer(event) for event in await tuning.jobs.events(job_id, after, limit)]
        return EventsAnswer(events=page, next=page[-1].seq if page else after)

    return router


async def _placed(tuning: Tuning, job: Job) -> JobAnswer:
    return job_answer(job, (await tuning.jobs.places([job])).get(job.id))


def _body(media_type: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"required": True, "content": {media_type: {"schema": schema}}}


def _form(fields: dict[str, Any], *required: str) -> dict[str, Any]:
    return {"requestBody": {"required": True, "content": {"multipart/form-data": form_schema(fields, *required)}}}


_ERRORS = "`{error: {code, message, details?}}`: a code for machines, a sentence for people, and what is wrong where."
_STREAM: dict[int | str, dict[str, Any]] = {
    200: {"description": "A page, or a stream of server-sent events", "content": {event_stream.MEDIA_TYPE: {}}}
}
