"""Datasets over REST: sent in one request, referred to in the store that is shared, extended, looked at, deleted."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from fastapi import APIRouter, Request
from pydantic import Field

from service.adapters.rest.connection import small_body, while_connected
from service.adapters.rest.orders import read_order
from service.adapters.rest.tuning_answers import (
    CheckedDatasetAnswer,
    DatasetAnswer,
    DatasetsAnswer,
    checked_dataset_answer,
    dataset_answer,
)
from service.adapters.rest.upload_parts import Reading
from service.adapters.rest.uploads import receive_form
from service.application.tuning import Tuning
from service.application.tuning.receiving import receiving
from service.domain.dataset import LABEL, TASK, UPLOADED
from service.domain.errors import InvalidInput
from service.domain.learning import LearningTask

T = TypeVar("T", bound=Reading)
LARGEST_ORDER = 16 * 1024
OPTIONS = (LABEL, TASK)
DATA_FIELDS = {
    "file": {
        "type": "string",
        "format": "binary",
        "description": "A zip or tar of one folder a class, CSV, Parquet, JSON lines, an NPZ, or a TFRecord file",
    },
    "format": {"enum": [str(format) for format in UPLOADED], "description": "Left out, it is seen by the content"},
    "label": {"type": "string", "description": "The column of the labels; several with commas between them"},
    "task": {"enum": [str(task) for task in LearningTask], "description": "What is to be learned; classes if left out"},
}


class ReferenceOrder(Reading):
    """A file in the store that is shared with this server."""

    reference: str = Field(description="Its path below `--dataset-root`")


class AppendOrder(Reading):
    """A file that is here already: one of the two."""

    reference: str | None = Field(None, description="A path below `--dataset-root`")
    upload: str | None = Field(None, description="The id of an upload in parts, all of which have arrived")


@dataclass(frozen=True, slots=True)
class Source:
    """A file that was received, and how it is to be read."""

    file: Path
    filename: str
    format: str | None
    options: dict[str, str]


def datasets_router(tuning: Tuning, most_bytes: int) -> APIRouter:
    """The routes under ``/v1/datasets``. ``most_bytes`` bounds a file."""
    router = APIRouter(prefix="/v1/datasets", tags=["datasets"])

    @router.post("", status_code=201, openapi_extra=_source(ReferenceOrder), summary="Make a dataset")
    async def upload(request: Request) -> CheckedDatasetAnswer:
        """Of a form with a file, or of JSON with a `reference` to one in the shared store, which is copied. It is
        checked at once: 422 tells every fault and its place, and nothing is kept then. The same content again is the
        same dataset.
        """
        order = await _order(ReferenceOrder, request)
        async with _received(tuning, request, order, most_bytes) as given:
            accepting = tuning.datasets.accept(given.file, given.filename, given.format, given.options)
            return checked_dataset_answer(await while_connected(request, accepting))

    @router.post(
        "/{dataset_id}:append", status_code=201, openapi_extra=_source(AppendOrder), summary="Add to a dataset"
    )
    async def append(dataset_id: str, request: Request) -> CheckedDatasetAnswer:
        """A new dataset of the items of this one and those that are sent, referred to, or were uploaded in parts; this
        one stays as it is. Items that are there already are left out, and one that comes with another label is a
        fault. What the base made of an item is kept, so that tuning on the new dataset computes the new ones only.
        """
        parent = await tuning.datasets.get(dataset_id)
        order = await _order(AppendOrder, request)
        if order is not None and (order.upload is None) == (order.reference is None):
            raise InvalidInput("say either 'upload' or 'reference'")
        if order is not None and order.upload is not None:
            appending = tuning.uploads.complete(order.upload, order.format, order.options, to=parent.id)
            return checked_dataset_answer(await while_connected(request, appending))
        async with _received(tuning, request, order, most_bytes) as given:
            appending = tuning.datasets.append(parent.id, given.file, given.filename, given.format, given.options)
            return checked_dataset_answer(await while_connected(request, appending))

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


async def _order(shape: type[T], request: Request) -> T | None:
    """What a request says in JSON; None for one that brings its file itself."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        return None
    return read_order(shape, await small_body(request, LARGEST_ORDER))


@asynccontextmanager
async def _received(
    tuning: Tuning, request: Request, order: ReferenceOrder | AppendOrder | None, most_bytes: int
) -> AsyncIterator[Source]:
    """A file of our own with what was sent or referred to, gone after the block unless it was accepted."""
    async with receiving(tuning.datasets) as file:
        if order is None:
            form = await receive_form(request, file, known=("format", *OPTIONS), most_bytes=most_bytes)
            yield Source(file, form.filename, form.fields.get("format"), options_in(form.fields))
        else:
            assert order.reference is not None
            await while_connected(request, tuning.fetch(order.reference, file, most_bytes))
            yield Source(file, order.reference, order.format, order.options)


def options_in(fields: dict[str, str]) -> dict[str, str]:
    """The options of a dataset among the fields of a form."""
    return {name: fields[name] for name in OPTIONS if name in fields}


def form_schema(fields: dict[str, Any], *required: str) -> dict[str, Any]:
    """A form as OpenAPI describes it."""
    return {
        "schema": {"type": "object", "properties": fields, "required": list(required), "additionalProperties": False}
    }


def _source(order: type[Reading]) -> dict[str, Any]:
    json = {"schema": order.model_json_schema()}
    content = {"multipart/form-data": form_schema(DATA_FIELDS, "file"), "application/json": json}
    return {"requestBody": {"required": True, "content": content}}
