"""Ray's interface for jobs, as far as it is needed: plain HTTP, so that no version has to match, Ray's or Python's."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from service.domain.errors import InvalidInput

LONGEST_S = 20.0
"""For one request. Ray answers within milliseconds, but for one that has just been started."""
_STARVED = "JOB_SUPERVISOR_ACTOR_START_TIMEOUT"
"""Ray gives up jobs that have waited for a quarter of an hour."""


class RayUnreachable(Exception):
    """It cannot be told whether Ray has heard."""


class RayRefused(Exception):
    """Ray has answered that it will not."""


@dataclass(frozen=True, slots=True)
class RayCluster:
    """Where Ray is, and what a trainer needs of it."""

    url: str
    """Of the dashboard."""
    command: Sequence[str] = ("python", "-m", "training")
    """The trainer, as it is started on any of the machines."""
    gpus: float = 1.0
    """A part of one is allowed, as Ray has it: then several trainers share it."""
    cpus: float = 1.0

    def __post_init__(self) -> None:
        """Raises: InvalidInput, there can be no such cluster."""
        try:
            url = httpx.URL(self.url)
        except httpx.InvalidURL as error:
            raise InvalidInput(f"Ray's dashboard cannot be at {self.url!r}: {error}") from error
        if url.scheme not in ("http", "https") or not url.host or not 0 < (url.port or 80) < 65536:
            raise InvalidInput(f"Ray's dashboard has an http:// or https:// URL, and {self.url!r} is none")
        if self.gpus > 1 and self.gpus != int(self.gpus):
            raise InvalidInput(f"Ray gives a part of one GPU or whole ones, and not {self.gpus:g}")

    @property
    def needs(self) -> str:
        """What a trainer waits for, in words."""
        return f"{self.gpus:g} GPU and {self.cpus:g} CPU"


@dataclass(frozen=True, slots=True)
class Submission:
    """What Ray says about a job of its own."""

    status: str
    message: str
    node: str | None
    exit_code: int | None
    starved: bool
    """Whether it was given up because nothing was free."""

    @property
    def over(self) -> bool:
        """Whether Ray has let go of what it was given."""
        return self.status in ("SUCCEEDED", "FAILED", "STOPPED")


class RayJobs:
    """Ray's jobs; ours are named by us, so that asking twice makes one."""

    def __init__(self, cluster: RayCluster) -> None:
        self._cluster = cluster
        self._client = httpx.AsyncClient(base_url=cluster.url, timeout=LONGEST_S, follow_redirects=False)

    async def close(self) -> None:
        """Let go of the connections."""
        await self._client.aclose()

    async def submit(self, name: str, arguments: Sequence[str], metadata: Mapping[str, str]) -> None:
        """Have the trainer started with these arguments, once. Asked again, it is the same job.

        Raises:
            RayUnreachable, RayRefused
        """
        asked = {
            "submission_id": name,
            # Nothing stands between Ray and the process, which sees from its parent whether it is still wanted.
            "entrypoint": f"exec {shlex.join([*self._cluster.command, *arguments])}",
            "entrypoint_num_gpus": self._cluster.gpus,
            "entrypoint_num_cpus": self._cluster.cpus,
            "metadata": dict(metadata),
        }
        try:
            await self._call("POST", "/api/jobs/", asked)
        except RayRefused:
            if await self.look(name) is None:
                raise

    async def look(self, name: str) -> Submission | None:
        """How a job is; None when Ray knows of none.

        Raises:
            RayUnreachable, RayRefused
        """
        said = await self._call("GET", f"/api/jobs/{name}")
        if said is None:
            return None
        try:
            return Submission(
                status=str(said["status"]),
                message=str(said.get("message") or ""),
                node=said.get("driver_node_id"),
                exit_code=said.get("driver_exit_code"),
                starved=said.get("error_type") == _STARVED,
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise RayUnreachable(f"what answers there is not Ray: {error!r}") from error

    async def stop(self, name: str) -> None:
        """Ask a job to end. One that waits ends when it would have begun.

        Raises:
            RayUnreachable, RayRefused
        """
        await self._call("POST", f"/api/jobs/{name}/stop")

    async def _call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """What Ray answers; None when it does not know what was asked for."""
        try:
            answer = await self._client.request(method, path, json=body)
            if answer.status_code == httpx.codes.NOT_FOUND:
                return None
            if answer.is_client_error:
                raise RayRefused(answer.text.strip()[-1000:])
            answer.raise_for_status()
            return answer.json()
        except (httpx.HTTPError, ValueError) as error:
            raise RayUnreachable(str(error) or type(error).__name__) from error
