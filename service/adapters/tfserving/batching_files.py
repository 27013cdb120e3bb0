"""Batching parameters: what TF Serving's file says, as our limits and lanes, and what of it has no meaning here.

The file that the command line names holds for every model; one beside a version's graph holds for that version.
"""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from service.adapters.tfserving.text_files import UnreadableFile, read_message
from service.domain.batches import BatchLimits
from service.domain.errors import ModelFailed

log = logging.getLogger(__name__)

PER_MODEL_FILE = "batching_params.pbtxt"
_MAX_BATCH_SIZE, _MAX_ENQUEUED_BATCHES = 1000, 10
"""What TF Serving takes when the file leaves them out."""
_WITHOUT_MEANING = {
    "batch_timeout_micros": "a free lane takes what waits, so there is no timer to set",
    "pad_variable_length_inputs": "requests of different shapes run apart, so none fails and none is padded",
}


@dataclass(frozen=True, slots=True)
class BatchingParameters:
    """One file's meaning."""

    limits: BatchLimits
    lanes: int
    thread_pool_name: str
    notes: tuple[str, ...] = ()
    """What is in the file and has no meaning here, a sentence each."""


def read_batching(file: Path) -> BatchingParameters:
    """The batching parameters in a file.

    Raises:
        UnreadableFile: it cannot be read, or contradicts itself; in TF Serving's words where it has some.
    """
    message: Any = read_message(file, "BatchingParameters")

    def value(field: str, default: Any) -> Any:
        return getattr(message, field).value if message.HasField(field) else default

    largest = value("max_batch_size", _MAX_BATCH_SIZE)
    splits = value("enable_large_batch_splitting", False)
    run = value("max_execution_batch_size", largest) if splits else largest
    lanes = value("num_batch_threads", os.cpu_count() or 1)
    try:
        if lanes < 1:
            raise ValueError(f"num_batch_threads must be at least 1, and is {lanes}")  # noqa: TRY301 - one way out
        if run > largest:
            raise ValueError(f"max_execution_batch_size {run} is larger than max_batch_size {largest}")  # noqa: TRY301
        limits = BatchLimits(
            max_rows=run,
            max_waiting_rows=value("max_enqueued_batches", _MAX_ENQUEUED_BATCHES) * run,
            max_request_rows=None if splits else largest,
            allowed_rows=tuple(message.allowed_batch_sizes),
            tells_late=True,
        )
    except ValueError as error:
        raise UnreadableFile(f"{file}: {error}") from error
    present = {field.name for field, _ in message.ListFields()}
    notes = tuple(f"{field} is ignored: {why}" for field, why in _WITHOUT_MEANING.items() if field in present)
    return BatchingParameters(limits, lanes, value("thread_pool_name", "batch_threads"), notes)


class PerModelBatching:
    """Reads what versions bring along."""

    def limits(self, directory: Path) -> BatchLimits | None:
        """The limits in ``batching_params.pbtxt``, if the version has one. Raises: ModelFailed."""
        file = directory / PER_MODEL_FILE
        if not file.is_file():
            return None
        try:
            parameters = read_batching(file)
        except UnreadableFile as error:
            raise ModelFailed(str(error)) from error
        for note in parameters.notes:
            log.info("%s: %s", file, note)
        return parameters.limits
