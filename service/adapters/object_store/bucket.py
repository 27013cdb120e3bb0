"""Objects under one prefix of a bucket, by keys relative to it.

Promises that what goes wrong is an OSError, that FileNotFoundError means that the one object is not there, and that
nothing waits for ever. Credentials, region and endpoint are found where every S3 client looks for them (``AWS_...``).
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from service.domain.errors import InvalidInput

MISSING = "a repository on S3 needs s3fs: install graft[s3]"
_TIMES = {"connect_timeout": 5, "read_timeout": 10, "retries": {"max_attempts": 1, "mode": "standard"}}
_TRIES = 2
_DELETED_AT_ONCE = 1000
_PART = 32 << 20
_PARTS_AT_ONCE = 4
_NO_SUCH = ("NoSuchKey", "404")


@dataclass(frozen=True, slots=True)
class Stored:
    """One object as a listing tells of it. ``tag`` changes when its content does."""

    size: int
    tag: str
    changed: datetime


class Bucket:
    """Thread-safe; every method blocks. Raises: OSError from all of them, the store does not do what it should now."""

    def __init__(self, url: str, endpoint: str = "") -> None:
        """``url`` is ``s3://bucket/prefix``; ``endpoint`` is asked in place of the one that the environment names.

        Raises:
            InvalidInput: this is no such URL, or what is needed to speak to stores is not installed.
        """
        parts = urlsplit(url)
        if parts.scheme != "s3" or not parts.netloc or parts.query or parts.fragment:
            raise InvalidInput(f"a repository on a store is named s3://BUCKET/PREFIX, and this one {url!r}")
        if importlib.util.find_spec("s3fs") is None:
            raise InvalidInput(MISSING)
        from s3fs import S3FileSystem

        prefix = parts.path.strip("/")
        self.url = f"s3://{parts.netloc}/{prefix}".rstrip("/")
        self._bucket, self._prefix = parts.netloc, f"{prefix}/" if prefix else ""
        self._client = S3FileSystem(
            endpoint_url=endpoint or None, config_kwargs=_TIMES, use_listings_cache=False, skip_instance_cache=True
        )
        self._client.retries = _TRIES

    def objects(self, under: str = "") -> Mapping[str, Stored]:
        """Every object whose key begins like this: one listing, a request for each thousand of them."""
        found: dict[str, Stored] = {}
        begin = self._prefix + under
        more: dict[str, str] = {}
        with _told_as_ours():
            while True:
                page = self._client.call_s3("list_objects_v2", Bucket=self._bucket, Prefix=begin, **more)
                for one in page.get("Contents", ()):
                    key = one["Key"][len(self._prefix) :]
                    found[key] = Stored(one["Size"], one["ETag"], one["LastModified"].astimezone(UTC))
                if not page.get("IsTruncated"):
                    return found
                more = {"ContinuationToken": page["NextContinuationToken"]}

    def fetch(self, key: str, file: Path) -> None:
        """Write an object's content to a file. Raises: FileNotFoundError, it is not there."""
        with _told_as_ours():
            self._client.get_file(self._path(key), str(file))

    def read(self, key: str) -> bytes:
        """A small object's content. Raises: FileNotFoundError, it is not there."""
        with _told_as_ours():
            content: bytes = self._client.cat_file(self._path(key))
            return content

    def send(self, file: Path, key: str) -> None:
        """Make an object of a file; it is seen whole or not at all."""
        with _told_as_ours():
            self._client.put_file(str(file), self._path(key), chunksize=_PART, max_concurrency=_PARTS_AT_ONCE)

    def create(self, key: str, content: bytes) -> bool:
        """Make an object that is not there yet; of several who try at once, one succeeds. False: there is one."""
        try:
            with _told_as_ours():
                self._client.call_s3(
                    "put_object", Bucket=self._bucket, Key=self._prefix + key, Body=content, IfNoneMatch="*"
                )
        except FileExistsError:
            return False
        return True

    def delete(self, keys: Sequence[str]) -> None:
        """Remove objects, in this order; those that are not there are not missed."""
        with _told_as_ours():
            for start in range(0, len(keys), _DELETED_AT_ONCE):
                named = [{"Key": self._prefix + key} for key in keys[start : start + _DELETED_AT_ONCE]]
                done = self._client.call_s3(
                    "delete_objects", Bucket=self._bucket, Delete={"Objects": named, "Quiet": True}
                )
                for problem in done.get("Errors", ()):
                    raise OSError(f"{problem['Key']} cannot be removed: {problem.get('Code')} {problem.get('Message')}")

    def _path(self, key: str) -> str:
        return f"{self._bucket}/{self._prefix}{key}"


@contextmanager
def _told_as_ours() -> Iterator[None]:
    """Whatever s3fs and what it stands on raise, as an OSError that says it in one line."""
    import aiohttp
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except (FileNotFoundError, FileExistsError):
        raise
    except (TimeoutError, BotoCoreError, ClientError, aiohttp.ClientError, OSError) as error:
        code = _code(error)
        if code in ("PreconditionFailed", "412", "ConditionalRequestConflict"):
            raise FileExistsError(str(error)) from error
        if code in _NO_SUCH:
            raise FileNotFoundError(str(error)) from error
        raise OSError(f"{type(error).__name__}: {error}".splitlines()[0]) from error


def _code(error: BaseException | None) -> str:
    """What S3 calls a refusal, however deep it was wrapped."""
    while error is not None:
        response: Any = getattr(error, "response", None)
        if isinstance(response, Mapping):
            return str(response.get("Error", {}).get("Code", ""))
        error = error.__cause__
    return ""
