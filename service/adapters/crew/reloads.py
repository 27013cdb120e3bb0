"""Another configuration, given to one worker, for all of them."""

from __future__ import annotations

from service.adapters.crew.last_configuration import RELOAD, Taken
from service.adapters.crew.membership import Membership
from service.application.models import Models
from service.application.reloading import Reloads
from service.domain.errors import Conflict, ServiceError
from service.domain.serving_config import ServingConfig

_LONGEST_S = 35.0
"""A little more than a reload may take."""


class ReloadsEverywhere:
    """What ``Reloads`` does in one process, in all."""

    def __init__(self, membership: Membership, here: Reloads, models: Models) -> None:
        self._membership, self._here, self._models = membership, here, models
        membership.answers(RELOAD, self._reload_here)

    async def reload(self, config: ServingConfig, timeout_s: float | None = None) -> None:
        """As ``Reloads.reload``; it is in force everywhere before this returns.

        Raises:
            Conflict: some workers could not take it, and go on as they were.
            Otherwise as ``Reloads.reload``.
        """
        answers: list[Taken] = await self._membership.ask_all(RELOAD, (config, timeout_s), _LONGEST_S)
        refused = [answer.error for answer in answers if not answer.in_force]
        if refused and len(refused) < len(answers):
            raise Conflict(f"{len(answers) - len(refused)} of {len(answers)} workers took it: {refused[0]}")
        for answer in answers:
            if answer.error is not None:
                raise answer.error

    async def _reload_here(self, content: tuple[ServingConfig, float | None]) -> Taken:
        config, timeout_s = content
        try:
            await self._here.reload(config, timeout_s)
        except ServiceError as error:
            return Taken(config, self._models.config == config, error)
        return Taken(config, True, None)
