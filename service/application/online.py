"""A version that can answer: its endpoints, and the count of requests that hold it in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

from service.application.batch_runs import Finish
from service.application.batching import Batcher
from service.application.graphs import SharedGraph
from service.application.ports import Listing
from service.domain.errors import SignatureNotFound
from service.domain.probation import Seen
from service.domain.tensors import NUMPY_TYPES, Array, Signature, Tensors
from service.domain.versions import VersionId


@dataclass(eq=False, slots=True)
class Endpoint:
    """One signature of one live version, ready to be called. Heads make one a request: a frozen one would take three
    times as long to make.
    """

    signature: Signature
    runs: str
    """The graph's signature behind it: its own name, or for a head the base's features."""
    batcher: Batcher
    finish: Finish

    async def call(self, inputs: Tensors, timeout_s: float | None = None, flow: str = "") -> dict[str, Array]:
        """Answer one request; ``flow`` is whose share of the runs it takes, the model's.

        Raises:
            InvalidInput: the inputs do not fit the signature.
            Overloaded, ModelFailed, DeadlineExceeded, QueueTimedOut: as the batcher says.
        """
        inputs = self.signature.completed(inputs)
        if self.batcher.together and not any(map(len, inputs.values())) and self._says_its_types:
            return self._no_rows()
        return await self.batcher.submit(inputs, self.finish, timeout_s, flow)

    @property
    def _says_its_types(self) -> bool:
        return all(spec.dtype in NUMPY_TYPES for spec in self.signature.outputs.values())

    def _no_rows(self) -> dict[str, Array]:
        """The answer to an empty batch, which some kernels refuse to compute."""
        return {
            alias: np.zeros((0, *(size or 0 for size in (spec.shape or ())[1:])), NUMPY_TYPES[spec.dtype])
            for alias, spec in self.signature.outputs.items()
        }


@dataclass(eq=False, slots=True)
class Online:
    """A version that can answer, and the count of requests that hold it."""

    listing: Listing
    endpoints: Mapping[str, Endpoint]
    shared: SharedGraph
    pins: int = 0
    watched: Seen | None = None
    """Where what comes of its requests is noted, while somebody wants to know."""
    id: VersionId = field(init=False)
    """Which version this is: the listing's, at hand for every request."""
    _unpinned: asyncio.Event | None = None

    def __post_init__(self) -> None:
        self.id = self.listing.id

    def endpoint(self, signature: str) -> Endpoint:
        """Raises: SignatureNotFound."""
        endpoint = self.endpoints.get(signature)
        if endpoint is None:
            raise SignatureNotFound(signature)
        return endpoint

    @contextmanager
    def pinned(self) -> Iterator[Online]:
        """Hold it in memory for the length of one request."""
        self.pin()
        try:
            yield self
        finally:
            self.unpin()

    def pin(self) -> None:
        """Hold it in memory until ``unpin``."""
        self.pins += 1

    def unpin(self) -> None:
        """One who held it does no more."""
        self.pins -= 1
        if not self.pins and self._unpinned is not None:
            self._unpinned.set()

    async def drained(self) -> None:
        """Wait until nobody holds it. It has left the serving map, so nobody new can."""
        while self.pins:
            self._unpinned = asyncio.Event()
            await self._unpinned.wait()
