"""What the end-to-end tests share: a real server process as an object, real digits, and patience."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import grpc
import httpx
import numpy as np
import pytest
from PIL import Image

GRAFT = str(Path(sys.executable).with_name("graft"))
Found = TypeVar("Found")
ENGINES = tempfile.TemporaryDirectory(prefix="graft-engines-")
"""What servers find out about models, for the next server with the same ones."""
ENVIRONMENT = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "GRAFT_ENGINE_CACHE": ENGINES.name}
PATIENCE_S = 120.0
"""How long to wait for what must happen. These machines are shared; the figure only bounds a failure."""


def until(what: str, look: Callable[[], Found | None], patience_s: float = PATIENCE_S) -> Found:
    """Look again and again until there is something; fail with ``what`` when there is not in time."""
    end = time.monotonic() + patience_s
    while time.monotonic() < end:
        found = look()
        if found is not None and found is not False:
            return found
        time.sleep(0.02)
    pytest.fail(f"waited {patience_s} s in vain: {what}")


@dataclass
class Server:
    """One ``graft serve`` process."""

    process: subprocess.Popen[str]
    log: Path
    rest: str
    grpc: str

    def __post_init__(self) -> None:
        self.http = httpx.Client(base_url=self.rest, timeout=60)

    def ready(self) -> Server:
        """Wait until requests may be sent."""
        until(f"ready:\n{self.tail()}", lambda: self.http.get("/readyz").status_code == 200)
        return self

    def channel(self) -> grpc.Channel:
        """A gRPC channel to it."""
        return grpc.insecure_channel(self.grpc)

    def tail(self) -> str:
        """The end of its log."""
        return self.log.read_text()[-3000:]

    def wait_live(self, model: str, version: int) -> None:
        """Wait until a version answers."""

        def live() -> bool:
            status = self.http.get(f"/v1/models/{model}/versions/{version}")
            return status.status_code == 200 and status.json()["model_version_status"][0]["state"] == "AVAILABLE"

        until(f"{model}@{version} live:\n{self.tail()}", live)

    def submit(self, upload: bytes, head: str, base: str = "digits", **fields: str) -> dict[str, Any]:
        """Upload and start a job."""
        answer = self.http.post(
            f"/v1/models/{base}:tune", data={"head": head, **fields}, files={"file": ("data.zip", upload)}
        )
        assert answer.status_code == 202, answer.text
        return answer.json()  # type: ignore[no-any-return]

    def job(self, job_id: str) -> dict[str, Any]:
        """A job as it is now."""
        return self.http.get(f"/v1/jobs/{job_id}").json()  # type: ignore[no-any-return]

    def ended(self, job_id: str) -> dict[str, Any]:
        """Wait until a job has ended."""

        def done() -> dict[str, Any] | None:
            job = self.job(job_id)
            return job if job["state"] in ("succeeded", "failed", "cancelled") else None

        return until(f"job {job_id} ends:\n{self.tail()}", done)

    def metric(self, line: str) -> float | None:
        """The value of one series, by its exact name and labels."""
        for text in self.http.get("/metrics").text.splitlines():
            if text.startswith(line + " "):
                return float(text.rsplit(" ", 1)[1])
        return None

    def kill(self) -> None:
        """``kill -9``."""
        self.process.kill()
        self.process.wait()

    def terminate(self) -> int:
        """SIGTERM, and its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


@dataclass(frozen=True)
class Digits:
    """The digits 5-9: images [n, 8, 8] uint8 on 0..255 and labels [n]."""

    images: np.ndarray
    labels: np.ndarray

    def archive(self, each: int, skip: int = 0) -> bytes:
        """A zip with a folder a class and ``each`` PNG files in it."""
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as zipped:
            for label in np.unique(self.labels):
                for index in np.flatnonzero(self.labels == label)[skip : skip + each]:
                    file = io.BytesIO()
                    Image.fromarray(self.images[index]).save(file, "PNG")
                    zipped.writestr(f"{label}/{index:04d}.png", file.getvalue())
        return buffer.getvalue()
