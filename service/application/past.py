"""The versions that are gone, the last few of each model: TF Serving lists them for ever, and operators ask."""

from __future__ import annotations

from collections import deque
from collections.abc import Container, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Gone:
    """A version that was here."""

    version: int
    error: str | None
    """Why it never answered, if so."""


class Past:
    """What is remembered. Bounded both ways, because models come and go as versions do."""

    def __init__(self, versions: int = 10, models: int = 1000) -> None:
        self._versions, self._most_models = versions, models
        self._models: dict[str, deque[Gone]] = {}

    def remember(self, model: str, gone: Gone) -> None:
        """A version is gone; an older memory of it is replaced."""
        known = self._models.pop(model, deque())
        self._models[model] = deque((*(one for one in known if one.version != gone.version), gone), self._versions)
        if len(self._models) > self._most_models:
            del self._models[next(iter(self._models))]

    def of(self, model: str, without: Container[int]) -> Sequence[Gone]:
        """The last versions of a model that are gone, but for those that are back."""
        return [one for one in self._models.get(model, ()) if one.version not in without]
