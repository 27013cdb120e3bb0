"""What is to be sent, where, how often and for how long: values that sending processes are given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal


class LoadTestError(Exception):
    """The load cannot be made, or the server does not answer it; the text says why and what helps."""


@dataclass(frozen=True, slots=True)
class Question:
    """One request: the path it goes to (over gRPC the method's), and its body or message."""

    path: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Target:
    """A server's door. ``address`` is ``http://host:port`` (or ``https``) for REST, ``host:port`` for gRPC."""

    door: Literal["rest", "grpc"]
    address: str
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Plan:
    """A load: questions in turn, from so many clients, one request at a time each.

    With a ``rate`` (requests a second, of all clients) requests are due on a schedule, whatever the answers take;
    without one, every client sends its next request when it has an answer. The first ``warm_s`` seconds do not count.
    ``starts_at`` is the time of day at which all sending processes begin.
    """

    target: Target
    questions: tuple[Question, ...]
    clients: int = 16
    seconds: float = 10.0
    warm_s: float = 1.0
    rate: float | None = None
    timeout_s: float = 60.0
    starts_at: float = 0.0

    def parts(self, number: int) -> list[Plan]:
        """The same load for so many processes, each with its share of clients and of the rate."""
        sizes = [len(range(part, self.clients, number)) for part in range(number)]
        return [
            replace(
                self,
                clients=size,
                rate=None if self.rate is None else self.rate * size / self.clients,
                questions=self.questions[at % len(self.questions) :] + self.questions[: at % len(self.questions)],
            )
            for at, size in enumerate(sizes)
            if size
        ]
