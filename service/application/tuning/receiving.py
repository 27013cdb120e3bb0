"""A file to receive an upload in, for whichever door: gone afterwards, unless what is in it became a dataset."""

from __future__ import annotations

import asyncio
import errno
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from service.application.tuning.datasets import Datasets
from service.domain.errors import NoRoom

log = logging.getLogger(__name__)


@asynccontextmanager
async def receiving(datasets: Datasets) -> AsyncIterator[Path]:
    """A new, empty file, gone after the block unless it was accepted.

    Raises:
        NoRoom: there is no room for it, or for what the block writes; otherwise what the block raises.
    """
    incoming = datasets.incoming()
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
        raise NoRoom("there is no room left for the upload where this server keeps its data") from error
