"""One way to ask a server for one row's answer: where, with which bytes, and how to read what comes back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import grpc
import httpx
import numpy as np
from numpy.typing import NDArray
from shared import load

from service.adapters.load_test.plan import Plan, Question, Target
from service.adapters.load_test.processes import measure

Row = NDArray[np.float32]
_TOLERANCE = 1e-3
"""Of the answer's spread; what rounding to four decimals and another engine in float32 make is far below."""
_PATIENCE_S = 60.0
_NO_LIMITS = (("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1))


@dataclass(frozen=True)
class Way:
    """A server's door and the request that asks it. ``address`` is a URL's beginning or, for gRPC, host:port."""

    door: Literal["rest", "grpc"]
    address: str
    path: str
    body: bytes
    read: Callable[[bytes], Any]
    headers: Mapping[str, str] = field(default_factory=dict)
    answer_bytes: int = 0

    def checked(self, expected: Row) -> Way:
        """The same, once its answer was seen to be right; it then knows how long that is.

        Raises:
            RuntimeError: the answer is another one, or none.
        """
        answer = self._ask()
        found = np.asarray(self.read(answer), np.float64).ravel()
        if found.shape != expected.shape or np.abs(found - expected).max() > _TOLERANCE * expected.std():
            raise RuntimeError(f"{self.address}{self.path} answers otherwise than TensorFlow")
        return replace(self, answer_bytes=len(answer))

    def _ask(self) -> bytes:
        if self.door == "grpc":
            with grpc.insecure_channel(self.address, options=_NO_LIMITS) as channel:
                return bytes(channel.unary_unary(self.path)(self.body, timeout=_PATIENCE_S))
        headers = {"content-type": "application/json", **self.headers}
        answer = httpx.post(self.address + self.path, content=self.body, headers=headers, timeout=_PATIENCE_S)
        if answer.status_code != httpx.codes.OK:
            raise RuntimeError(f"{self.address}{self.path} answers {answer.status_code}: {answer.text[:500]}")
        return answer.content

    def saturated(self, seconds: float, warm_s: float) -> load.Load:
        """What it does at most, asked by 16 clients."""
        if self.door == "grpc":
            answer, path = self.answer_bytes, self.path
            return load.grpc(self.address, self.body, seconds, answer=answer, method=path, warm_s=warm_s)
        return load.http(self.address + self.path, self.body, seconds, headers=self.headers, warm_s=warm_s)

    def p99_ms_at(self, rate: float, seconds: float) -> float:
        """The 99th percentile of latency at so many requests a second; infinite when it does not keep up."""
        target = Target(self.door, self.address, self.headers)
        plan = Plan(target, (Question(self.path, self.body),), load.CLIENTS, seconds, rate=rate)
        found = measure(plan, 1)
        keeps_up = not found.errors and found.per_second > 0.95 * rate
        return found.percentile_ms(99) if keeps_up else float("inf")
