"""What an answer and a refusal cost the server in processor time, by its own counts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from shared.processor_time import processor_seconds
from shared.server_process import ServerProcess

T = TypeVar("T")


@dataclass(frozen=True)
class Spent:
    """Processor time of the server's process, and how the requests ended that it was spent on."""

    seconds: float
    answered: int
    refused: int
    """In whatever way they were not answered: those given up by their callers, too."""

    @property
    def an_answer_s(self) -> float:
        """Where nothing was refused: what an answer cost, its run and all."""
        return self.seconds / self.answered

    def a_refusal_s(self, an_answer_s: float) -> float:
        """What a refusal cost, if answers cost so much. Runs that others interrupt cost more than undisturbed ones,
        and that is counted here too.
        """
        return (self.seconds - self.answered * an_answer_s) / max(1, self.refused)


def spent_on(server: ServerProcess, load: Callable[[], T]) -> tuple[T, Spent]:
    """What a load found, and what it cost the server."""
    before, used = server.outcomes(), processor_seconds([server.pid])
    found = load()
    used = processor_seconds([server.pid]) - used
    ended = server.outcomes() - before
    return found, Spent(used, ended["ok"], ended.total() - ended["ok"])
