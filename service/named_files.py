"""What the files say that settings name, read once at the start: TF Serving's batching, monitoring and SSL files."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from pathlib import Path

from service.adapters.rpc.server import Tls
from service.adapters.tfserving.batching_files import read_batching
from service.adapters.tfserving.monitoring_files import monitoring_path
from service.adapters.tfserving.ssl_files import read_identity
from service.adapters.tfserving.text_files import UnreadableFile
from service.domain.batches import BatchLimits
from service.settings import ServeSettings, SettingsError

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class NamedFiles:
    """Their meaning or, where no file is named, that of the settings alone."""

    limits: BatchLimits
    lanes: int
    thread_pool: str
    monitoring_path: str | None
    """Where TF Serving's metrics are to be shown, if anywhere."""
    tls: Tls | None


def read_named_files(settings: ServeSettings) -> NamedFiles:
    """Read them.

    Raises:
        SettingsError: one cannot be read, or contradicts itself.
    """
    try:
        limits, lanes, thread_pool = _batching(settings)
        monitoring = settings.monitoring_config_file
        return NamedFiles(
            limits, lanes, thread_pool, monitoring_path(Path(monitoring)) if monitoring else None, _tls(settings)
        )
    except UnreadableFile as error:
        raise SettingsError(str(error)) from error


def _batching(settings: ServeSettings) -> tuple[BatchLimits, int, str]:
    limits = (
        BatchLimits(settings.max_batch_rows, settings.max_waiting_rows)
        if settings.max_batch_rows
        else BatchLimits(max_waiting_rows=settings.max_waiting_rows, measured=True)
    )
    lanes = settings.lanes or max(1, (os.cpu_count() or 1) // settings.workers)
    if not settings.batching_parameters_file:
        return limits, lanes, "batch_threads"
    read = read_batching(Path(settings.batching_parameters_file))
    for note in read.notes:
        log.info("%s: %s", settings.batching_parameters_file, note)
    # With files of their own, versions without one are not bound by this one, which then only says how many threads.
    return (limits if settings.per_model_batching else read.limits), settings.lanes or read.lanes, read.thread_pool_name


def _tls(settings: ServeSettings) -> Tls | None:
    if not settings.ssl_config_file:
        return None
    identity = read_identity(Path(settings.ssl_config_file))
    return Tls(identity.key, identity.certificates, identity.client_authorities)
