"""One S3 server for all tests of a process that ask for it, and a bucket for each."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from s3_server import KEYS, OwnBucket, s3_server


@pytest.fixture(scope="session")
def endpoint() -> Iterator[str]:
    with s3_server() as address:
        yield address


@pytest.fixture
def theirs(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> OwnBucket:
    """A new bucket, as its owner sees it."""
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    return OwnBucket.made(endpoint)
