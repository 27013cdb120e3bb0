"""One process that serves, alone: ``graft serve`` without workers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

from service.settings import ServeSettings
from service.wiring.announcement import announce
from service.wiring.service import Service
from service.wiring.signals import end_at_once, stop_on_signals


async def serve(settings: ServeSettings) -> None:
    """Run the service until SIGTERM or SIGINT."""
    await run(Service(settings), stop_on_signals(), partial(announce, settings))


async def run(service: Service, stop: asyncio.Event, listens: Callable[[str, str], None]) -> None:
    """Run a service until told to stop, and then end, whatever is left behind."""
    await service.run(stop, listens)
    if service.abandoned:
        end_at_once()
