"""Another configuration while serving: checked, taken whole or not at all, and answered for in bounded time."""

from __future__ import annotations

import asyncio
import logging
from typing import Protocol

from service.application.models import Models
from service.application.ports import Clock, ConfigSource
from service.domain.errors import Conflict, DeadlineExceeded, LoadFailed, ServiceError
from service.domain.serving_config import ServingConfig

log = logging.getLogger(__name__)


class Reloading(Protocol):
    """Whoever can be given another configuration."""

    async def reload(self, config: ServingConfig, timeout_s: float | None = None) -> None:
        """As ``Reloads.reload``."""


class Reloads:
    """Replaces the configured models."""

    def __init__(self, models: Models, clock: Clock, longest_s: float = 30.0) -> None:
        """``longest_s`` is how long anyone is kept waiting for new models."""
        self._models, self._clock, self._longest_s = models, clock, longest_s
        self._one_at_a_time = asyncio.Lock()

    async def reload(self, config: ServingConfig, timeout_s: float | None = None) -> None:
        """Serve by this configuration from now on, and wait until each version of the models it adds answers or has
        failed.

        Once it is in force it stays, whatever comes of the new models: they are tried again.

        Raises:
            PreconditionFailed: a label is for a version that neither answers nor is about to; nothing was changed.
            LoadFailed: it is in force, and some of the new models cannot be made live.
            DeadlineExceeded: there was no time to apply it, or it is in force and some of the new models still load.
            Conflict: it was replaced by another one meanwhile.
        """
        wait_s = self._longest_s if timeout_s is None else max(0.0, min(timeout_s, self._longest_s))
        added: frozenset[str] | None = None
        try:
            async with asyncio.timeout(wait_s):
                added = await self._apply(config)
                verdicts = await self._models.settled(added)
        except TimeoutError as error:
            if added is None:
                raise DeadlineExceeded(f"the configuration was not applied within {wait_s:.3g} s") from error
            loading = ", ".join(self._models.untried(added))
            raise DeadlineExceeded(
                f"the configuration is in force; after {wait_s:.3g} s still loading: {loading}"
            ) from error
        if not added <= self._models.config.names:
            raise Conflict("the configuration was replaced by another one before its models were live")
        failed = {name: failure for name, failure in verdicts.items() if failure is not None}
        if failed:
            told = ", ".join(f"{{name: {name}}} due to error: {failure}" for name, failure in sorted(failed.items()))
            raise LoadFailed(f"{len(failed)} model(s) did not become available: {{{told}}}")

    async def _apply(self, config: ServingConfig) -> frozenset[str]:
        async with self._one_at_a_time:
            added = await self._models.adopt(config)
        log.info("configured models: %s", ", ".join(sorted(config.names)) or "none")
        return added

    async def follow(self, source: ConfigSource, every_s: float) -> None:
        """Take over what the source says whenever it differs from what is in force, until cancelled. What cannot be
        read or applied changes nothing, and stands in the models' ``config_problem``.
        """
        while True:
            await self._clock.sleep(every_s)
            problem = None
            try:
                config = await asyncio.to_thread(source.read)
                if config != self._models.config:
                    await self._apply(config)
            except (ServiceError, OSError) as error:
                problem = str(error)
            if problem and problem != self._models.config_problem:
                log.error("the configuration stays as it is: %s", problem)
            self._models.config_problem = problem
