"""The tuning API: datasets are uploaded and checked, jobs asked for, watched and cancelled.

Each handler decodes, calls the application and encodes; what may be asked for is decided there, and errors become
statuses in ``errors``.
"""

from __future__ import annotations

import asyncio
import errno
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.responses import StreamingResponse

from service.adapters.rest import event_stream
from service.adapters.rest.connection import small_body, while_connected
from service.adapters.rest.event_stream import LARGEST_SEQ
from service.adapters.rest.tuning_answers import (
    CheckedDatasetAnswer,
    DatasetAnswer,
    DatasetsAnswer,
    EventsAnswer,
    JobAnswer,
    JobOrder,
    JobsAnswer,
    checked_dataset_answer,
    dataset_answer,
    event_answer,
    job_answer,
    read_json,
)
from service.adapters.rest.uploads import receive_form
from service.application.tuning import Tuning
from service.domain.dataset import LABEL, TASK, UPLOADED
from service.domain.errors import InvalidInput, NotReady
from service.domain.jobs import JobState
from service.domain.learning import LearningTask

log = logging.getLogger(__name__)
LARGEST_ORDER = 256 * 1024
OPTIONS = (LABEL, TASK)
DATA_FIELDS = {
    "file": {
        "type": "string",
        "format": "binary",
        "description": "A zip of one folder a class, CSV, Parquet, JSON lines, an NPZ, or a TFRecord file",
    },
    "format": {"enum": [str(format) for format in UPLOADED], "description": "Left out, it is seen by the content"},
    "label": {"type": "string", "description": "The column of the labels; several with commas between them"},
    "task": {"enum": [str(task) for task in LearningTask], "description": "What is to be learned; classes if left out"},
}
TUNE_FIELDS = {
    **DATA_FIELDS,
    "head": {"type": "string", "description": "The head's name"},
    "recipe": {"type": "string", "description": "A JSON object"},
}
Key = Annotated[str | None, Header(alias="Idempotency-Key", description="Asking again with it gives the same job")]


def tuning_router(tuning: Tuning, *, most_upload_bytes: int, beat_s: float = event_stream.BEAT_S) -> APIRouter:
    """The routes. ``most_upload_bytes`` bounds a file; ``beat_s`` is how often a quiet event stream shows it lives."""
    router = APIRouter(responses={"4XX": {"description": _ERRORS}, "5XX": {"description": _ERRORS}})
    router.include_router(_datasets(tuning, most_upload_bytes))
    router.include_router(_requests(tuning, most_upload_bytes))
    router.include_router(_jobs(tuning, beat_s))
    return router


def _datasets(tuning: Tuning, most_bytes: int) -> APIRouter:
    router = APIRouter(prefix="/v1/datasets", tags=["datasets"])

    @router.post("", status_code=201, openapi_extra=_form(DATA_FIELDS, "file"), summary="Upload labelled data")
    async def upload(request: Request) -> CheckedDatasetAnswer:
        """It is checked at once: 422 tells every fault and its place, and nothing is kept then. The same content again
        is the same dataset.
        """
        async with _incoming(tuning) as file:
            form = await receive_form(request, file, known=("format", *OPTIONS), most_bytes=most_bytes)
            format, options = form.fields.get("format"), _options(form.fields)
            accepting = tuning.datasets.accept(file, form.filename, format, options)
            return checked_dataset_answer(await while_connected(request, accepting))

    @router.get("", summary="List datasets")
    async def datasets() -> DatasetsAnswer:
        """List datasets."""
        return DatasetsAnswer(datasets=[dataset_answer(dataset) for dataset in await tuning.datasets.all()])

    @router.get("/{dataset_id}", summary="Get a dataset")
    async def dataset(dataset_id: str) -> DatasetAnswer:
        """Get a dataset."""
        return dataset_answer(await tuning.datasets.get(dataset_id))

    @router.get("/{dataset_id}/report", summary="Get what a dataset's check found")
    async def report(dataset_id: str) -> dict[str, Any]:
        """Get what a dataset's check found."""
        return (await tuning.datasets.get(dataset_id)).report.to_dict()

    @router.delete("/{dataset_id}", status_code=204, summary="Delete a dataset")
    async def delete(dataset_id: str) -> None:
        """409 while a job that has not ended needs it. Versions tuned from it stay."""
        await tuning.datasets.delete(dataset_id)

    return router


def _requests(tuning: Tuning, most_bytes: int) -> APIRouter:
    router = APIRouter(prefix="/v1", tags=["jobs"])

    @router.post(
        "/models/{base}:tune",
        status_code=202,
        openapi_extra=_form(TUNE_FIELDS, "file", "head"),
        summary="Upload labelled data and tune a head on it",
    )
    async def tune(base: str, request: Request, response: Response, idempotency_key: Key = None) -> JobAnswer:
        """The upload and the job in one call. When the job has succeeded the head's new version goes live by itself."""
        tuning.jobs.base(base)

        def check(fields: Mapping[str, str]) -> None:
            # What comes before the file is looked at before it, so that nobody sends one for nothing.
            if "head" in fields:
                tuning.jobs.base_for(fields["head"], base, _recipe(fields.get("recipe")) or {})

        async with _incoming(tuning) as file:
            known = ("format", *OPTIONS, "head", "recipe")
            form = await receive_form(request, file, known=known, most_bytes=most_bytes, before_file=check)
            tuned = tuning.tune(
                file,
                form.filename,
                head=form.require("head"),
                base=base,
                format=form.fields.get("format"),
                options=_options(form.fields),
                recipe=_recipe(form.fields.get("recipe")),
                idempotency_key=idempotency_key,
            )
            job = await while_connected(request, tuned)
        response.headers["location"] = f"/v1/jobs/{job.id}"
        return job_answer(job)

    order: dict[str, Any] = {"requestBody": _body("application/json", JobOrder.model_json_schema())}

    @router.post("/jobs", status_code=202, openapi_extra=order, summary="Tune a head on a dataset")
    async def submit(request: Request, response: Response, idempotency_key: Key = None) -> JobAnswer:
        """Tune a head on a dataset."""
        asked = JobOrder.read(await small_body(request, LARGEST_ORDER))
        job = await tuning.jobs.submit(asked, idempotency_key)
        response.headers["location"] = f"/v1/jobs/{job.id}"
        return job_answer(job)

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
        return JobsAnswer(jobs=[job_answer(job) for job in page], next_page_token=page[-1].id if more else None)

    @router.get("/{job_id}", summary="Get a job")
    async def job(job_id: str) -> JobAnswer:
        """Get a job."""
        return job_answer(await tuning.jobs.get(job_id))

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


@asynccontextmanager
async def _incoming(tuning: Tuning) -> AsyncIterator[Path]:
    """A file for an upload, gone after the block unless it was accepted.

    Raises:
        NotReady: there is no room for it; otherwise what the block raises.
    """
    incoming = tuning.datasets.incoming()
    try:
        file = await asyncio.to_thread(incoming.__enter__)
        try:
            yield file
        finally:
            await asyncio.to_thread(incoming.__exit__, None, None, None)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        log.warning("no room for an upload: %s", error, extra={"action": "receive_upload"})
        raise NotReady("there is no room left for the upload where this server keeps its data") from error


def _options(fields: dict[str, str]) -> dict[str, str]:
    return {name: fields[name] for name in OPTIONS if name in fields}


def _recipe(text: str | None) -> dict[str, Any] | None:
    if not text:
        return None
    recipe = read_json(text, "the recipe")
    if not isinstance(recipe, dict):
        raise InvalidInput("the recipe has to be a JSON object")
    return recipe


def _body(media_type: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"required": True, "content": {media_type: {"schema": schema}}}


def _form(fields: dict[str, Any], *required: str) -> dict[str, Any]:
    schema = {"type": "object", "properties": fields, "required": list(required), "additionalProperties": False}
    return {"requestBody": _body("multipart/form-data", schema)}


_ERRORS = "`{error: {code, message, details?}}`: a code for machines, a sentence for people, and what is wrong where."
_STREAM: dict[int | str, dict[str, Any]] = {
    200: {"description": "A page, or a stream of server-sent events", "content": {event_stream.MEDIA_TYPE: {}}}
}
