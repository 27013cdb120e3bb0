"""What bases that answer now make of inputs that nobody sent as a request, at the cost of next to no request.

A few rows at a time, queued like a request of a model of its own, and in pieces where runs of fewer rows are best:
whoever else wants the base has his share, and waits for few rows at most.
"""

from __future__ import annotations

import asyncio

import numpy as np

from service.application.models import Models
from service.application.online import Online
from service.application.ports import Features
from service.domain.errors import NotReady
from service.domain.tensors import Array

FLOW = "provisional heads"
"""Whose share of the runs is taken. No model is called so."""
ROWS = 16
_FEATURES = "features"


class LiveModelsBases:
    """The ``LiveBases`` port."""

    def __init__(self, models: Models, *, longest_s: float = 10.0) -> None:
        """``longest_s`` is how long a run may wait for its turn, and a head to be loaded."""
        self._models, self._longest_s = models, longest_s

    async def features(self, base: str, digest: str, inputs: Array) -> Features:
        """As the port says."""
        with self._online(base, digest).pinned() as online:
            endpoint = online.endpoint(_FEATURES)
            (alias,) = endpoint.signature.inputs
            runs = [
                await endpoint.call({alias: inputs[start : start + ROWS]}, self._longest_s, FLOW)
                for start in range(0, len(inputs), ROWS)
            ]
            by_cut = {cut: np.concatenate([run[cut] for run in runs]) for cut in runs[0]}
            return Features(by_cut, frozenset(online.endpoints))

    async def taken_up(self, head: str) -> str | None:
        """As the port says."""
        try:
            async with asyncio.timeout(self._longest_s):
                await self._models.look()
                settled = await self._models.settled([head])
        except TimeoutError:
            return f"it did not answer within {self._longest_s:g} s"
        return settled.get(head, "it is not served here")

    def _online(self, base: str, digest: str) -> Online:
        for online in self._models.online(base).values():
            if online.listing.manifest is not None and online.listing.manifest.digest == digest:
                return online
        raise NotReady(f"the version of {base[:80]} that the head is for does not answer here now")
