"""Uploads in parts: begun, received in any order and by any process, completed into datasets, given up with time.

Promises that a part that was answered for survives whatever is killed, that one which did not arrive whole and as its
digest says was never there, and that what is open is bounded in number and bytes. An upload is bound to the machine it
was begun on: only what it becomes, the dataset, is everybody's.
"""

from __future__ import annotations

import hashlib
import logging
import re
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from service.application.ports import Clock, PartWriter, UploadStore
from service.application.tuning.blocking import held, on_thread
from service.application.tuning.datasets import Datasets, checked_format, checked_options, shown
from service.domain.dataset import Dataset
from service.domain.errors import Conflict, InvalidInput, NoRoom, Overloaded, UploadNotFound, UploadTooLarge
from service.domain.uploads import PART_BYTES, Upload, part_bytes_for

log = logging.getLogger(__name__)
FLUSH = 2**20
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class UploadPolicy:
    """What uploads in parts may take up."""

    most_bytes: int = 16 * 2**30
    """Of one."""
    most_open: int = 32
    most_open_bytes: int = 64 * 2**30
    """Of all that are open, by what they said they would be."""
    term_s: float = 86_400.0
    """One that no part has arrived of for so long is given up."""
    part_bytes: int = PART_BYTES
    sweep_every_s: float = 60.0


class Uploads:
    """Begins, receives, completes and gives up uploads."""

    def __init__(self, store: UploadStore, datasets: Datasets, clock: Clock, policy: UploadPolicy) -> None:
        self._store = store
        self._datasets = datasets
        self._clock = clock
        self._policy = policy

    async def begin(
        self,
        filename: str,
        size: int | None = None,
        sha256: str | None = None,
        format: str | None = None,
        options: Mapping[str, str] | None = None,
    ) -> Upload:
        """A new upload, without parts.

        Raises:
            InvalidInput: something said of it cannot be.
            UploadTooLarge: it is larger than one may be.
            Overloaded: too many are open.
            NoRoom: there is no room for as much.
        """
        checked_format(format)
        options = checked_options(options or {})
        if size is not None and size < 1:
            raise InvalidInput(f"a file of {size} bytes has no parts")
        if size is not None and size > self._policy.most_bytes:
            raise UploadTooLarge(f"the file is larger than this server accepts: {self._policy.most_bytes} bytes")
        if sha256 is not None and not _SHA256.fullmatch(sha256):
            raise InvalidInput("a digest is a sha256 in 64 hexadecimal digits, lower case")
        await self.sweep()
        now, part_bytes = self._clock.now(), part_bytes_for(size, self._policy.part_bytes)
        id, expires = f"up-{secrets.token_hex(10)}", now + self._policy.term_s
        upload = Upload(id, shown(filename), part_bytes, now, expires, size, sha256, format, dict(options))
        await on_thread(self._store.add, upload, lambda there, free: self._admit(upload, there, free))
        return upload

    async def get(self, id: str) -> Upload:
        """Raises: UploadNotFound."""
        upload = await on_thread(self._store.upload, id)
        if upload.expires <= self._clock.now():
            raise UploadNotFound("this upload has expired")
        return upload

    async def receive(
        self, id: str, number: int, sha256: str, announced: int | None, chunks: AsyncIterator[bytes]
    ) -> Upload:
        """One part, as it comes. A part that is there already is left as it is; ``chunks`` is not read then.

        Raises:
            UploadNotFound: there is no such upload.
            InvalidInput: there can be no such part, or it is not as long, or not what, it should be.
            Conflict: another part is there under this number, or the upload is complete.
            Overloaded: the part is being received already.
            NoRoom: there is no room for it.
        """
        upload = await self.get(id)
        least, most = upload.room(number, self._policy.most_bytes)
        if self._is_there(upload, number, sha256):
            return upload
        if announced is not None and not least <= announced <= most:
            raise InvalidInput(_wrong_length(number, announced, least, most))
        if upload.size is None:
            await self._hold_room(upload, number)
        async with held(self._store.receive(upload, number, most)) as part:
            if self._is_there(await self.get(id), number, sha256):
                return await self.get(id)
            await self._write(part, number, least, most, chunks)
            if part.part.sha256 != sha256:
                raise InvalidInput(f"part {number} has the sha256 {part.part.sha256}, and its digest says {sha256}")
            await on_thread(part.keep, self._clock.now())
            return await self.get(id)

    async def complete(
        self, id: str, format: str | None = None, options: Mapping[str, str] | None = None, to: str | None = None
    ) -> Dataset:
        """All parts are there: the dataset they are, or ``to`` which they are added. Asked again it is the same one.
        ``format`` and ``options`` take the place of those the upload was begun with. If the data has faults the upload
        stays, to be tried otherwise.

        Raises:
            UploadNotFound, Conflict, Overloaded: there is none, parts lack, or parts are still being received.
            InvalidInput: the whole is not what its digest says.
            As ``Datasets.accept`` does.
        """
        upload = await self.get(id)
        if upload.dataset is not None:
            return await self._datasets.get(upload.dataset)
        async with self.whole(id) as (upload, file):
            chosen = {**upload.options, **(options or {})}
            how = (file, upload.filename, format or upload.format, chosen)
            dataset = await (self._datasets.accept(*how) if to is None else self._datasets.append(to, *how))
            await on_thread(self._store.finish, id, dataset.id, self._clock.now())
        return dataset

    @asynccontextmanager
    async def whole(self, id: str) -> AsyncIterator[tuple[Upload, Path]]:
        """The file of an upload whose parts are all there, for the length of the block; it may be moved away.

        Raises:
            As ``complete`` does.
        """
        async with held(self._store.whole(id)) as file:
            upload = await self.get(id)
            if upload.dataset is not None:
                raise Conflict(f"this upload has become the dataset {upload.dataset}")
            size = upload.whole_bytes()
            await on_thread(self._store.seal, id, size, self._clock.now())
            if upload.sha256 is not None and (found := await on_thread(_sha256_of, file)) != upload.sha256:
                raise InvalidInput(f"the file has the sha256 {found}, and the upload was begun with {upload.sha256}")
            yield upload, file

    async def delete(self, id: str) -> None:
        """Raises: UploadNotFound; Overloaded, parts are being received."""
        await on_thread(self._store.discard, id)

    async def sweep(self) -> None:
        """Give up what has expired, and remove what killed processes left."""
        swept = await on_thread(self._store.sweep)
        for upload in await on_thread(self._store.uploads):
            if upload.expires <= self._clock.now():
                try:
                    await on_thread(self._store.discard, upload.id)
                    swept += 1
                except (UploadNotFound, Overloaded):
                    continue  # gone by itself, or a part is on its way: then it has a new term
        if swept:
            log.info("swept uploads", extra={"action": "sweep_uploads", "uploads": swept})

    async def tend(self) -> None:
        """Sweep now and then, until cancelled."""
        while True:
            try:
                await self.sweep()
            except OSError as error:
                log.warning("cannot sweep uploads now: %s", error, extra={"action": "sweep_uploads"})
            await self._clock.sleep(self._policy.sweep_every_s)

    def _admit(self, upload: Upload, there: Sequence[Upload], free: int) -> None:
        limits, now = self._policy, self._clock.now()
        there = [one for one in there if one.dataset is None and one.expires > now]
        if len(there) >= limits.most_open:
            raise Overloaded(f"{len(there)} uploads are open, and no more may be; complete or delete one", 60.0)
        wanted = upload.size or upload.part_bytes
        self._check_bytes(wanted, there)
        if wanted > free:
            raise NoRoom(f"there are {max(0, free)} bytes left where this server keeps its data, and not {wanted}")

    async def _hold_room(self, upload: Upload, number: int) -> None:
        """Nobody said how large the file is: what it comes to take is counted part by part."""
        if number > max(upload.parts, default=0):
            there = await on_thread(self._store.uploads)
            self._check_bytes(number * upload.part_bytes, [one for one in there if one.id != upload.id])

    def _check_bytes(self, wanted: int, others: Sequence[Upload]) -> None:
        taken, most = sum(one.reserved_bytes for one in others), self._policy.most_open_bytes
        if wanted + taken > most:
            raise NoRoom(f"open uploads may have {most} bytes together; others have {taken}, and this wants {wanted}")

    def _is_there(self, upload: Upload, number: int, sha256: str) -> bool:
        known = upload.parts.get(number)
        if known is not None and known.sha256 != sha256:
            raise Conflict(f"part {number} is there with the sha256 {known.sha256}; to send another, begin anew")
        if known is None and (upload.sealed or upload.dataset is not None):
            raise Conflict("this upload was completed, and takes no more parts")
        return known is not None

    async def _write(self, part: PartWriter, number: int, least: int, most: int, chunks: AsyncIterator[bytes]) -> None:
        pending = bytearray()
        received = 0
        async for chunk in chunks:
            received += len(chunk)
            if received > most:
                raise InvalidInput(_wrong_length(number, f"more than {most}", least, most))
            pending += chunk
            if len(pending) >= FLUSH:
                await on_thread(part.write, pending)
                pending = bytearray()
        if received < least:
            raise InvalidInput(_wrong_length(number, received, least, most))
        await on_thread(part.write, pending)


def _wrong_length(number: int, found: int | str, least: int, most: int) -> str:
    wanted = f"{most}" if least == most else f"{least} to {most}"
    return f"part {number} has {found} bytes, and should have {wanted}"


def _sha256_of(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
