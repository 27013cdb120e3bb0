"""One run of a graph for several requests: joined, run, cut up, and each request's own rows turned into its answer.

A run that fails is made again request by request, so that only the one to blame sees the error.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np

from service.domain.batches import BatchLimits
from service.domain.errors import ModelFailed, ServiceError
from service.domain.tensors import Array, Tensors

Run = Callable[[Tensors], dict[str, Array]]
"""Runs one signature of one graph on a batch."""
Finish = Callable[[Tensors], dict[str, Array]]
"""Turns a request's own rows of the graph's outputs into its answer: the identity, or a head."""
Outcome = dict[str, Array] | ServiceError


class Place(Enum):
    """Where a request is."""

    QUEUED = 1
    TAKEN = 2
    """In a run, or behind one."""
    GONE = 3
    """It left the queue for nowhere."""


@dataclass(eq=False, slots=True)
class Waiting:
    """One request, or one piece of a request too large for a single run."""

    inputs: Tensors
    rows: int
    finish: Finish
    answer: asyncio.Future[dict[str, Array]]
    shapes: object
    """What must be equal for two to share a run."""
    flow: str
    since: float
    timeout_s: float | None
    place: Place = Place.QUEUED
    settled: bool = False
    """Whether it was given an outcome by us, be it a refusal."""

    def settle(self, outcome: Outcome) -> None:
        """Give it its outcome, unless its caller has left."""
        if self.answer.done():
            return
        self.settled = True
        if isinstance(outcome, ServiceError):
            self.answer.set_exception(outcome)
        else:
            self.answer.set_result(outcome)


def shapes_of(inputs: Tensors) -> object:
    """The inner shapes by alias."""
    if len(inputs) == 1:
        for array in inputs.values():
            return array.shape[1:]
    return {alias: array.shape[1:] for alias, array in inputs.items()}


class BatchRunner:
    """Runs batches of one signature. Thread-safe."""

    def __init__(self, run: Run, *, together: bool) -> None:
        self._run, self._together = run, together

    def outcomes(self, batch: Sequence[Waiting], limits: BatchLimits) -> list[Outcome]:
        """What comes of each. Blocks."""
        outcomes = self._answer_together(batch, limits) if len(batch) > 1 else None
        return outcomes if outcomes is not None else [self._answer_alone(waiting, limits) for waiting in batch]

    def filling(self, rows: int, limits: BatchLimits) -> int:
        """How many rows are added to so many to reach a size that a run may have."""
        return limits.run_rows(rows) - rows if self._together and limits.allowed_rows else 0

    def _answer_together(self, batch: Sequence[Waiting], limits: BatchLimits) -> list[Outcome] | None:
        """Everyone's answer from one run, or None when that failed and each must be tried alone."""
        rows = sum([waiting.rows for waiting in batch])
        joined = {alias: np.concatenate([waiting.inputs[alias] for waiting in batch]) for alias in batch[0].inputs}
        try:
            outputs = self._run(self._filled(joined, rows, limits))
        except ServiceError:
            return None
        ran = rows + self.filling(rows, limits)
        if any(array.ndim == 0 or array.shape[0] != ran for array in outputs.values()):
            return None
        outcomes: list[Outcome] = []
        start = 0
        for waiting in batch:
            end = start + waiting.rows
            outcomes.append(_finished(waiting, {alias: array[start:end] for alias, array in outputs.items()}))
            start = end
        return outcomes

    def _answer_alone(self, waiting: Waiting, limits: BatchLimits) -> Outcome:
        try:
            outputs = self._run(self._filled(waiting.inputs, waiting.rows, limits))
        except ServiceError as error:
            return error
        if self.filling(waiting.rows, limits):
            outputs = {alias: array[: waiting.rows] for alias, array in outputs.items()}
        return _finished(waiting, outputs)

    def _filled(self, inputs: Tensors, rows: int, limits: BatchLimits) -> Tensors:
        """Rows filled up to a size that a run may have; the caller drops what comes of the filling."""
        missing = self.filling(rows, limits)
        if not missing:
            return inputs
        return {alias: np.concatenate([array, *[array[-1:]] * missing]) for alias, array in inputs.items()}


def _finished(waiting: Waiting, outputs: Tensors) -> Outcome:
    try:
        return waiting.finish(outputs)
    except ServiceError as error:
        return error
    except Exception as error:  # noqa: BLE001 - one head that breaks must not take its neighbours with it
        return ModelFailed(f"the features do not fit the head: {error!r}")
