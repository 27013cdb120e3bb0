"""A real S3 server as a process of its own, and a bucket of one's own in it."""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import boto3

from service.adapters.object_store import Bucket

PROGRAM = """
import sys
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.read()
"""
KEYS = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": "us-east-1"}
_NUMBERS = itertools.count(1)


@contextmanager
def s3_server() -> Iterator[str]:
    """The address of a server that ends with the block."""
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        lines = iter(process.stdout.readline, b"")
        port = next(int(line) for line in lines if line.strip().isdigit())
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


@dataclass
class OwnBucket:
    """A bucket as its owner sees it: whatever anybody else's program would do to it."""

    endpoint: str
    name: str

    @classmethod
    def made(cls, endpoint: str) -> OwnBucket:
        """A new one."""
        made = cls(endpoint, f"bucket-{next(_NUMBERS)}")
        made.client.create_bucket(Bucket=made.name)
        return made

    def __post_init__(self) -> None:
        self.client = boto3.client(
            "s3", endpoint_url=self.endpoint, aws_access_key_id="key", aws_secret_access_key="secret",
            region_name="us-east-1",
        )  # fmt: skip

    @property
    def url(self) -> str:
        return f"s3://{self.name}/models"

    def ours(self, endpoint: str | None = None) -> Bucket:
        """The same as our own code sees it, through this address."""
        return Bucket(self.url, endpoint or self.endpoint)

    def put(self, key: str, content: bytes) -> None:
        self.client.put_object(Bucket=self.name, Key=f"models/{key}", Body=content)

    def put_folder(self, folder: Path, place: str) -> None:
        """Every file of a folder, in no order that would help."""
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                self.put(f"{place}/{file.relative_to(folder).as_posix()}", file.read_bytes())

    def remove(self, under: str) -> None:
        for key in self.keys(under):
            self.client.delete_object(Bucket=self.name, Key=f"models/{key}")

    def keys(self, under: str = "") -> list[str]:
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=f"models/{under}")
        return [one["Key"].removeprefix("models/") for page in pages for one in page.get("Contents", ())]

    def read(self, key: str) -> bytes:
        content: bytes = self.client.get_object(Bucket=self.name, Key=f"models/{key}")["Body"].read()
        return content


def environment(endpoint: str) -> Mapping[str, str]:
    """What tells a process where the server is."""
    return {**KEYS, "AWS_ENDPOINT_URL": endpoint}
