"""A small inference at one address; where too much waits already it is refused before it is read.

Of ten times what it can do a server refuses nine tenths, and what refusing takes the runs do not have. Once a request
to an address was refused for want of room, those that come after are asked for room first, at once and as they came:
their JSON is not parsed, and nothing is made to wait for an answer that is known. An address where there is room pays
one look at a flag for that.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from service.adapters.rest.asgi import Headers
from service.adapters.rest.reply import Reply

Answer = Callable[[Headers, bytes, Callable[[], None]], Coroutine[Any, Any, Reply]]
"""Answers a request of these headers and this body, and says so when it is refused because too much waits."""
_SAYS_WHICH = (b'"signature_name"', b'"heads"', b"\\")
"""A body with one of these may ask for something else than the default signature; JSON can write any name with a
backslash. One with none of them asks for that.
"""


class SmallInference:
    """Answers requests to one address."""

    __slots__ = ("_answer", "_crowded", "_refusal")

    def __init__(self, answer: Answer, refusal: Callable[[], Reply | None]) -> None:
        """``refusal`` says what a request to the default signature would be told now, if it would be refused."""
        self._answer, self._refusal = answer, refusal
        self._crowded = False

    def __call__(self, headers: Headers, body: bytes) -> Reply | Coroutine[Any, Any, Reply]:
        """Answer, at once or when awaited."""
        if self._crowded and not any(word in body for word in _SAYS_WHICH):
            refused = self._refusal()
            if refused is not None:
                return refused
            self._crowded = False
        return self._answer(headers, body, self._was_refused)

    def _was_refused(self) -> None:
        self._crowded = True
