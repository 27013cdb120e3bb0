"""One of several processes that serve: ``python -m service.wiring.worker LINE``, started and told by its parent.

It ends when told to, or when its parent is gone.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import sys

import uvloop

from service.adapters.crew.membership import Membership
from service.adapters.crew.messages import Line
from service.domain.errors import InvalidInput
from service.settings import SettingsError
from service.wiring.beginning import Beginning
from service.wiring.process import run
from service.wiring.service import Service
from service.wiring.signals import stop_on_signals


async def work(end: socket.socket) -> None:
    """Serve until told to stop, or until the parent is gone."""
    line = await Line.over(end)
    message = await line.hear()
    if message is None:
        return
    beginning: Beginning = message.content
    settings = beginning.settings
    logging.basicConfig(
        level=settings.log_level.upper(),
        format=f"%(asctime)s %(levelname)s {beginning.name} %(name)s %(message)s",
        stream=sys.stderr,
    )
    stop = stop_on_signals()
    membership = Membership(line, late=beginning.late)
    service = Service(settings, membership, beginning.state_lock, beginning.config)
    following = asyncio.create_task(_follow(membership, stop))
    try:
        await run(service, stop, lambda *_: membership.listens())
    finally:
        following.cancel()


async def _follow(membership: Membership, stop: asyncio.Event) -> None:
    await membership.follow()
    stop.set()


def main() -> None:
    """Be a worker; ends the process with its status."""
    end = socket.socket(fileno=int(sys.argv[1]))
    os.set_inheritable(end.fileno(), False)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(work(end))
    except SettingsError as error:
        sys.exit(_refuse(error, 2))
    except (OSError, InvalidInput) as error:
        sys.exit(_refuse(error, 1))


def _refuse(error: Exception, status: int) -> int:
    print(f"graft serve: {error}", file=sys.stderr)
    return status


if __name__ == "__main__":
    main()
