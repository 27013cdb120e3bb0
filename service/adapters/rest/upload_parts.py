"""Uploads in parts over REST: begun with a JSON object, parts put one by one with a digest each, completed into a
dataset. What a part must be is decided by the application; here headers and bodies are read.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Header, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import ClientDisconnect

from service.adapters.rest.connection import small_body, while_connected
from service.adapters.rest.orders import read_order
from service.adapters.rest.tuning_answers import CheckedDatasetAnswer, Time, checked_dataset_answer, time_answer
from service.application.tuning import Tuning
from service.domain.dataset import LABEL, TASK
from service.domain.errors import InvalidInput, NotSupported
from service.domain.uploads import MOST_MISSING_SHOWN, Upload

LARGEST_ORDER = 16 * 1024
_SHA256 = re.compile(r"(?:^|,)\s*sha-256=:([A-Za-z0-9+/=]*):\s*(?:$|,)")
Digest = Annotated[
    str | None, Header(alias="Content-Digest", description="RFC 9530: `sha-256=:<base64>:`", examples=["sha-256=:...:"])
]


class Reading(BaseModel):
    """How a file is to be read."""

    model_config = ConfigDict(extra="forbid", strict=True)

    format: str | None = Field(None, description="Left out, it is seen by the content")
    label: str | None = Field(None, description="The column of the labels; several with commas between them")
    task: str | None = Field(None, description="What is to be learned; classes if left out")

    @property
    def options(self) -> dict[str, str]:
        """The options that were given."""
        return {name: value for name, value in ((LABEL, self.label), (TASK, self.task)) if value is not None}


class UploadOrder(Reading):
    """A file that will come in parts."""

    filename: str = Field("upload", description="What it is called; shown, and never used as a path")
    size: int | None = Field(None, description="Bytes of the whole; then room is kept for it")
    digest: str | None = Field(None, description="sha256 of the whole, hexadecimal; checked when all of it is there")


class PartAnswer(BaseModel):
    """A part that has arrived."""

    number: int
    bytes: int
    sha256: str


class UploadAnswer(BaseModel):
    """An upload in parts."""

    id: str
    filename: str
    size: int | None
    part_bytes: int = Field(description="Bytes of every part but the last")
    part_count: int | None = Field(description="Parts there are to be; null where the size was not said")
    received_bytes: int
    parts: list[PartAnswer] = Field(description="Those that have arrived, by number")
    missing: list[int] = Field(description=f"Numbers of those that have not, the first {MOST_MISSING_SHOWN}")
    missing_count: int
    created: Time
    expires: Time = Field(description="When it is given up, unless a part arrives before")
    dataset: str | None = Field(description="What it has become")


def uploads_router(tuning: Tuning) -> APIRouter:
    """The routes under ``/v1/uploads``."""
    router = APIRouter(prefix="/v1/uploads", tags=["datasets"])
    uploads = tuning.uploads

    @router.post("", status_code=201, openapi_extra=_json(UploadOrder), summary="Begin an upload in parts")
    async def begin(request: Request, response: Response) -> UploadAnswer:
        """507 where there is no room for it. It is bound to the machine that answers: of several replicas behind one
        address, all of its parts have to go to this one.
        """
        order = read_order(UploadOrder, await small_body(request, LARGEST_ORDER))
        upload = await uploads.begin(order.filename, order.size, order.digest, order.format, order.options)
        response.headers["location"] = f"/v1/uploads/{upload.id}"
        return upload_answer(upload)

    @router.get("/{upload_id}", summary="See which parts have arrived")
    async def upload(upload_id: str) -> UploadAnswer:
        """See which parts have arrived."""
        return upload_answer(await uploads.get(upload_id))

    @router.put("/{upload_id}/parts/{number}", openapi_extra=_PART, summary="Send a part")
    async def put(upload_id: str, number: int, request: Request, content_digest: Digest = None) -> PartAnswer:
        """In any order, several at once, again after a failure. It counts only when all of it has come and is what its
        digest says. The same part again changes nothing; another under its number is 409.
        """
        encoding = request.headers.get("content-encoding", "identity").lower()
        if encoding != "identity":
            raise NotSupported(f"parts are taken as they are, without Content-Encoding {encoding[:40]!r}")
        length = request.headers.get("content-length", "")
        announced = int(length) if length.isdecimal() and len(length) < 20 else None
        sha256 = digest_in(content_digest)
        part = (await uploads.receive(upload_id, number, sha256, announced, _chunks(request))).parts[number]
        return PartAnswer(number=number, bytes=part.bytes, sha256=part.sha256)

    @router.post("/{upload_id}:complete", status_code=201, openapi_extra=_json(Reading), summary="Complete an upload")
    async def complete(upload_id: str, request: Request) -> CheckedDatasetAnswer:
        """The dataset, once it is checked; 422 tells every fault, and the upload stays: it may be completed with
        another format, label or task in the body, until it expires. Completed again it is the same dataset.
        """
        body = await small_body(request, LARGEST_ORDER)
        chosen = read_order(Reading, body) if body else Reading()
        completing = uploads.complete(upload_id, chosen.format, chosen.options)
        return checked_dataset_answer(await while_connected(request, completing))

    @router.delete("/{upload_id}", status_code=204, summary="Give up an upload")
    async def delete(upload_id: str) -> None:
        """Its parts go. What it has become stays."""
        await uploads.delete(upload_id)

    return router


def upload_answer(upload: Upload) -> UploadAnswer:
    """An upload as its sender sees it."""
    missing = [] if upload.dataset is not None else upload.missing
    return UploadAnswer(
        id=upload.id,
        filename=upload.filename,
        size=upload.size,
        part_bytes=upload.part_bytes,
        part_count=None if upload.size is None else upload.part_count,
        received_bytes=upload.received_bytes,
        parts=[PartAnswer(number=n, bytes=part.bytes, sha256=part.sha256) for n, part in upload.parts.items()],
        missing=missing[:MOST_MISSING_SHOWN],
        missing_count=len(missing),
        created=time_answer(upload.created),
        expires=time_answer(upload.expires),
        dataset=upload.dataset,
    )


def digest_in(header: str | None) -> str:
    """The sha256 in a Content-Digest header, hexadecimal. Raises: InvalidInput, there is none."""
    found = _SHA256.search(header or "")
    try:
        digest = base64.b64decode(found[1], validate=True) if found else b""
    except binascii.Error:
        digest = b""
    if len(digest) != 32:
        raise InvalidInput("every part needs a header Content-Digest: sha-256=:<its sha256 in base64>:")
    return digest.hex()


async def _chunks(request: Request) -> AsyncIterator[bytes]:
    try:
        async for chunk in request.stream():
            yield chunk
    except ClientDisconnect as error:
        raise InvalidInput("the client left before the part was whole") from error


def _json(shape: type[BaseModel]) -> dict[str, Any]:
    return {"requestBody": {"content": {"application/json": {"schema": shape.model_json_schema()}}}}


_PART = {"requestBody": {"required": True, "content": {"application/octet-stream": {"schema": {"type": "string"}}}}}
