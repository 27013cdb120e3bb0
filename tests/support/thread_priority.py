"""The priority of the calling thread."""

from __future__ import annotations

import os
import threading

STEP = 5


def priority() -> int:
    """Its niceness."""
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


def lower() -> None:
    """Lower it by ``STEP``."""
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), priority() + STEP)
