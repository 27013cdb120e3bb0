"""The configuration that a worker was given for all of them, kept for workers that come later."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from service.domain.errors import ServiceError
from service.domain.serving_config import ServingConfig

RELOAD = "reload"
"""The topic under which workers ask each other to take a configuration."""


class Taken(NamedTuple):
    """What became of it in one worker."""

    config: ServingConfig
    in_force: bool
    error: ServiceError | None


class LastConfiguration:
    """The one in force. None until one was given."""

    def __init__(self) -> None:
        self.config: ServingConfig | None = None

    def collected(self, answers: Mapping[Any, Taken]) -> list[Taken]:
        """All answers as they are."""
        for answer in answers.values():
            if answer.in_force:
                self.config = answer.config
        return list(answers.values())

    def gone(self, member: object, farewell: object) -> None:
        """It took nothing with it."""
