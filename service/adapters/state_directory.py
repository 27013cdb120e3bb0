"""The directory a service keeps its state in, and the lock that makes it one service's own.

With the lock held nobody else writes here, so what a killed predecessor left is known to be left.
"""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path


class StateDirectory:
    """Jobs, datasets and their database, held from construction until ``release`` or the process's end."""

    def __init__(self, root: Path, lock: int | None = None) -> None:
        """Make the directory and take it, or share the ``lock`` of the process that started this one.

        Raises:
            OSError: it cannot be made, or another service holds it.
        """
        root.mkdir(parents=True, exist_ok=True)
        self.root = root
        self.database = root / "graft.db"
        self.jobs = root / "jobs"
        if lock is not None:
            os.set_inheritable(lock, False)
            self._lock = lock
            return
        # Closed in every child we start: a trainer that outlives us for a moment must not keep the lock.
        self._lock = os.open(root / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(self._lock)
            message = f"another graft serve uses the state directory {root}; give this one its own with --state"
            raise OSError(errno.EBUSY, message) from error

    @property
    def lock(self) -> int:
        """The descriptor that holds it: whoever has one holds it, too."""
        return self._lock

    def release(self) -> None:
        """Let another service have it."""
        os.close(self._lock)
