"""Multipart forms with one file in them, received as they come: the file goes to the disk piece by piece, never whole
into memory, and a form that is too large, broken or not what was asked for is refused as soon as that shows.

Knows nothing of what is in the file, and decides nothing about its name.
"""

from __future__ import annotations

import asyncio
import difflib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from fastapi import Request
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect

from service.domain.errors import InvalidInput, UploadTooLarge

FILE = "file"
LARGEST_FIELD = 64 * 1024
MOST_PARTS = 32
FRAMING = 1024 * 1024
"""What a form may weigh beside its file."""
FLUSH = 1024 * 1024


@dataclass(slots=True)
class Form:
    """What came beside the file, and what the file was called."""

    filename: str = ""
    fields: dict[str, str] = field(default_factory=dict)

    def require(self, name: str) -> str:
        """Raises: InvalidInput, the form lacks it."""
        if not self.fields.get(name):
            raise InvalidInput(f"the form has no field {name!r}")
        return self.fields[name]


async def receive_form(
    request: Request,
    into: Path,
    *,
    known: Collection[str],
    most_bytes: int,
    before_file: Callable[[Mapping[str, str]], None] = lambda _: None,
) -> Form:
    """Receive a form: its part ``file`` into a file, and any of the ``known`` fields, each once. ``before_file`` is
    shown the fields that came before the file when that begins, and refuses them by raising.

    Raises:
        InvalidInput: it is not such a form, or the client left before it was whole.
        UploadTooLarge: its file is larger than ``most_bytes``.
    """
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and len(announced) < 20 and int(announced) > most_bytes + FRAMING:
        raise _too_large(most_bytes)
    reader = _FormReader(_boundary(request), known, most_bytes, before_file)
    with await asyncio.to_thread(into.open, "wb") as file:
        try:
            async for chunk in request.stream():
                reader.feed(chunk)
                if len(reader.pending) >= FLUSH:
                    await asyncio.to_thread(_flush, reader.pending, file)
        except ClientDisconnect as error:
            raise InvalidInput("the client left before the form was whole") from error
        form = reader.finish()
        await asyncio.to_thread(_flush, reader.pending, file)
    return form


def _flush(pending: bytearray, file: IO[bytes]) -> None:
    file.write(pending)
    pending.clear()


def _boundary(request: Request) -> bytes:
    kind, options = parse_options_header(request.headers.get("content-type", "").encode("latin-1", "replace"))
    if kind != b"multipart/form-data":
        raise InvalidInput("send the data as a form: content type multipart/form-data")
    boundary = options.get(b"boundary", b"")
    if not 1 <= len(boundary) <= 70:
        raise InvalidInput("the content type multipart/form-data needs a boundary of 1 to 70 characters")
    return boundary


def _too_large(most_bytes: int) -> UploadTooLarge:
    return UploadTooLarge(f"the file is larger than this server accepts: {most_bytes} bytes")


class _FormReader:
    """Follows the parser from part to part. ``pending`` are the file's bytes that are not on the disk yet."""

    def __init__(
        self,
        boundary: bytes,
        known: Collection[str],
        most_bytes: int,
        before_file: Callable[[Mapping[str, str]], None],
    ) -> None:
        self.pending = bytearray()
        self._form = Form()
        self._known = known
        self._most_bytes = most_bytes
        self._before_file = before_file
        self._file_bytes = 0
        self._framing = 0
        self._has_file = False
        self._ended = False
        self._parts = 0
        self._name = ""
        self._value = bytearray()
        self._header, self._header_value = bytearray(), bytearray()
        self._headers: dict[str, bytes] = {}
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._part_begins,
                "on_header_field": self._header_name,
                "on_header_value": self._header_text,
                "on_header_end": self._header_ends,
                "on_headers_finished": self._part_opens,
                "on_part_data": self._data,
                "on_part_end": self._part_ends,
                "on_end": self._form_ends,
            },
        )

    def feed(self, chunk: bytes) -> None:
        """Take the next piece of the body."""
        before = self._file_bytes
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            raise InvalidInput(f"the form cannot be read: {error}") from error
        self._framing += len(chunk) - (self._file_bytes - before)
        if self._framing > FRAMING:
            raise InvalidInput("the form has too much in it beside its file")

    def finish(self) -> Form:
        """The form, when its body has ended."""
        if not self._ended:
            raise InvalidInput("the form ends before its last boundary: it was cut off")
        if not self._has_file:
            raise InvalidInput(f"the form has no part {FILE!r} with a file in it")
        return self._form

    def _part_begins(self) -> None:
        self._parts += 1
        if self._parts > MOST_PARTS:
            raise InvalidInput(f"the form has more than {MOST_PARTS} parts")
        self._headers = {}
        self._value.clear()

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _header_text(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def _header_ends(self) -> None:
        self._headers[self._header.decode("latin-1").lower()] = bytes(self._header_value)
        self._header.clear()
        self._header_value.clear()

    def _part_opens(self) -> None:
        kind, options = parse_options_header(self._headers.get("content-disposition"))
        self._name = options.get(b"name", b"").decode(errors="replace")
        if kind != b"form-data" or not self._name:
            raise InvalidInput("every part of the form needs a name")
        if self._headers.get("content-transfer-encoding", b"binary").lower() not in (b"binary", b"8bit", b"7bit"):
            raise InvalidInput("the parts of the form must come as they are, without a transfer encoding")
        if self._name == FILE:
            if self._has_file:
                raise InvalidInput("the form has more than one file; one dataset is one file")
            self._has_file = True
            self._before_file(self._form.fields)
            self._form.filename = options.get(b"filename", b"").decode(errors="replace")
        elif self._name not in self._known:
            raise InvalidInput(f"the form has a field {self._name[:80]!r}, which is unknown here{self._meant()}")
        elif self._name in self._form.fields:
            raise InvalidInput(f"the form has the field {self._name!r} twice")

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._name == FILE:
            self._file_bytes += end - start
            if self._file_bytes > self._most_bytes:
                raise _too_large(self._most_bytes)
            self.pending += memoryview(data)[start:end]
        else:
            self._value += memoryview(data)[start:end]
            if len(self._value) > LARGEST_FIELD:
                raise InvalidInput(f"the field {self._name!r} is longer than {LARGEST_FIELD} bytes")

    def _part_ends(self) -> None:
        if self._name != FILE:
            try:
                self._form.fields[self._name] = self._value.decode()
            except UnicodeDecodeError as error:
                raise InvalidInput(f"the field {self._name!r} is not UTF-8") from error

    def _form_ends(self) -> None:
        self._ended = True

    def _meant(self) -> str:
        close = difflib.get_close_matches(self._name, [FILE, *self._known], 1)
        return f"; did you mean {close[0]!r}?" if close else ""
