"""Ends of jobs as signed HTTP requests to the one address that the operator has set.

``Graft-Signature: t=SECONDS,v1=HEX``, where HEX is the HMAC-SHA256 of ``SECONDS.BODY`` under the shared secret: who
receives it can tell that it is ours, whole, and of now. Answers are never read beyond their head, and redirects never
followed. When to try again is decided elsewhere.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import httpx

from service.domain.announcements import Announcement, Undelivered
from service.domain.errors import InvalidInput

SIGNATURE, ID = "graft-signature", "graft-event-id"
LONGEST_S = 10.0
"""From connecting to the head of the answer."""
_SHORTEST_SECRET = 16


class Webhook:
    """The ``Listener`` port over HTTP."""

    def __init__(self, url: str, secret: bytes, now: Callable[[], float], longest_s: float = LONGEST_S) -> None:
        """``now`` gives seconds since the epoch.

        Raises:
            InvalidInput: the URL is none of HTTP.
        """
        self._url = _checked(url)
        self._secret = secret
        self._now = now
        self._longest_s = longest_s
        alone = httpx.Limits(max_keepalive_connections=0)
        self._client = httpx.AsyncClient(follow_redirects=False, timeout=None, limits=alone)

    async def tell(self, announcement: Announcement) -> None:
        """As the port says."""
        body = _body(announcement)
        headers = {
            "content-type": "application/json",
            ID: announcement.id,
            SIGNATURE: signature(self._secret, body, int(self._now())),
        }
        try:
            async with (
                asyncio.timeout(self._longest_s),
                self._client.stream("POST", self._url, content=body, headers=headers) as answer,
            ):
                status = answer.status_code
        except TimeoutError as error:
            raise Undelivered(f"the receiver has not answered within {self._longest_s:g} s") from error
        except httpx.HTTPError as error:
            raise Undelivered(f"the receiver cannot be reached: {error or type(error).__name__}") from error
        if not 200 <= status < 300:
            raise Undelivered(f"the receiver answered {status}")


def signature(secret: bytes, body: bytes, at: int) -> str:
    """The value of the header, for a body sent at this second."""
    digest = hmac.new(secret, b"%d." % at + body, hashlib.sha256).hexdigest()
    return f"t={at},v1={digest}"


def read_secret(file: Path) -> bytes:
    """A secret without the white space around it.

    Raises:
        InvalidInput: it is too short to be one.
        OSError: the file cannot be read.
    """
    secret = file.read_bytes().strip()
    if len(secret) < _SHORTEST_SECRET:
        raise InvalidInput(f"{file}: a webhook's secret has at least {_SHORTEST_SECRET} bytes, and this {len(secret)}")
    return secret


def _checked(text: str) -> httpx.URL:
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL as error:
        raise InvalidInput(f"the webhook's URL cannot be read: {error}") from error
    if url.scheme not in ("http", "https") or not url.host:
        raise InvalidInput(f"the webhook's URL has to begin with http:// or https:// and a host, and is {text!r}")
    return url


def _body(announcement: Announcement) -> bytes:
    job, event = announcement.job, announcement.event
    told = {
        "id": announcement.id,
        "type": event.type,
        "time": datetime.fromtimestamp(event.time, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "message": event.message,
        "job": {
            "id": job.id,
            "head": job.request.head,
            "base": job.request.base,
            "dataset": job.request.dataset,
            "state": str(job.state),
            "version": job.version,
            "gate": None if job.gate is None else dict(job.gate),
            "error": None if job.error is None else dict(job.error),
        },
    }
    return json.dumps(told, separators=(",", ":")).encode()
