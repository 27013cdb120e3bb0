"""What signals do to a process of ours: SIGTERM and SIGINT stop it in order, a second one at once."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal

log = logging.getLogger(__name__)


def stop_on_signals() -> asyncio.Event:
    """An event that SIGTERM and SIGINT set; a second one ends the process at once."""
    stop = asyncio.Event()

    def asked_to_stop() -> None:
        if stop.is_set():
            log.warning("asked to stop again: ending at once")
            end_at_once()
        stop.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        with contextlib.suppress(NotImplementedError):
            loop.add_signal_handler(number, asked_to_stop)
    return stop


def end_at_once() -> None:
    """End the process without waiting for its threads, which an orderly end would."""
    logging.shutdown()
    os._exit(1)
