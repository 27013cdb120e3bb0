"""A batcher before whose only lane a test stands guard."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import numpy as np
from serving_fakes import Gate, RecordingObserver

from service.application.batching import Batcher
from service.application.lanes import Lanes
from service.domain.batches import BatchLimits
from service.domain.errors import InvalidInput
from service.domain.shares import Shares
from service.domain.tensors import Array, Tensors

Run = Callable[[Tensors], dict[str, Array]]


def doubled(inputs: Tensors) -> dict[str, Array]:
    """Refuses a whole batch for one negative number, as a graph would."""
    if (inputs["x"] < 0).any():
        raise InvalidInput("negative")
    return {"y": inputs["x"] * 2}


def column(*values: float) -> dict[str, Array]:
    return {"x": np.array(values, np.float32).reshape(-1, 1)}


class Ward:
    """A batcher whose only lane stands before a gate, and which remembers the batches it ran. Time moves when the test
    says so.
    """

    def __init__(
        self,
        run: Run = doubled,
        *,
        together: bool = True,
        lanes: int = 1,
        room: Shares | None = None,
        steady: bool = False,
        **limits: Any,
    ) -> None:
        self.time = 1000.0
        self.gate, self.observer, self.lanes = Gate(), RecordingObserver(), Lanes(lanes)
        self.batches: list[list[Any]] = []

        def gated(inputs: Tensors) -> dict[str, Array]:
            self.gate.pass_through()
            self.batches.append(inputs["x"].reshape(len(inputs["x"]), -1)[:, 0].tolist() if inputs["x"].ndim else [])
            return run(inputs)

        self.batcher = Batcher(
            "g",
            "s",
            gated,
            together=together,
            lanes=self.lanes,
            limits=BatchLimits(**limits),
            observer=self.observer,
            room=room,
            steady=steady,
            now=lambda: self.time,
        )

    def send(self, *values: float, timeout_s: float | None = None, flow: str = "") -> asyncio.Task[list[float]]:
        return self.send_inputs(column(*values), timeout_s, flow)

    def send_inputs(
        self, inputs: dict[str, Array], timeout_s: float | None = None, flow: str = ""
    ) -> asyncio.Task[list[float]]:
        async def answer() -> list[float]:
            outputs = await self.batcher.submit(inputs, lambda outputs: dict(outputs), timeout_s, flow)
            return [float(value) for value in outputs["y"].ravel()]

        return asyncio.create_task(answer())

    async def send_busy(self) -> asyncio.Task[list[float]]:
        """A request that takes the lane and keeps it until the gate opens."""
        busy = self.send(100)
        await self.gate.arrival()
        return busy


async def turns(count: int = 3) -> None:
    """Let everything that is ready to run, run."""
    for _ in range(count):
        await asyncio.sleep(0)
