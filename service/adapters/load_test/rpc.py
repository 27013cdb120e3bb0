"""Questions over gRPC, as bytes: a channel a client, none shared, so that clients are connections here too."""

from __future__ import annotations

from typing import Any

import grpc
import grpc.aio

from service.adapters.load_test.plan import Question, Target

_OPTIONS = (
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
)


class GrpcClient:
    """A channel to a gRPC door."""

    def __init__(self, target: Target) -> None:
        self._channel = grpc.aio.insecure_channel(target.address, options=_OPTIONS)
        self._metadata = tuple(target.headers.items())
        self._methods: dict[str, Any] = {}

    async def ask(self, question: Question) -> str | None:
        """Call and wait; None when all is well, else the status code's name."""
        method = self._methods.get(question.path)
        if method is None:
            method = self._methods[question.path] = self._channel.unary_unary(question.path)
        try:
            await method(question.body, metadata=self._metadata)
        except grpc.aio.AioRpcError as error:
            return str(error.code().name)
        return None

    async def close(self) -> None:
        """Nothing: a call that is given up leaves its channel whole, and the process ends with its channels."""
