"""Which folders below a root have changed, told by Linux itself (inotify) where it does; elsewhere nothing is told.

Being told saves looking, and nothing else: whatever is never told, on a file system of another machine or inside a
version, is found by whoever looks at everything in turn.
"""

from __future__ import annotations

import ctypes
import errno
import logging
import os
import struct
import sys
from pathlib import Path

log = logging.getLogger(__name__)

_NONBLOCK, _CLOEXEC = 0o4000, 0o2000000
_MOVED_FROM, _MOVED_TO, _CREATE, _DELETE = 0x40, 0x80, 0x100, 0x200
_DELETE_SELF, _MOVE_SELF, _ONLYDIR = 0x400, 0x800, 0x1000000
_COMES_AND_GOES = _MOVED_FROM | _MOVED_TO | _CREATE | _DELETE | _DELETE_SELF | _MOVE_SELF | _ONLYDIR
_OVERFLOW, _IGNORED = 0x4000, 0x8000
_EVENT = struct.Struct("iIII")
_BLOCK = 1 << 16


class Changes:
    """Folders directly below one root, by name. For one thread."""

    def __init__(self, root: Path, *, told: bool = True) -> None:
        """With ``told`` false nothing is ever told, as on a system that cannot."""
        self._root = root
        self._library = ctypes.CDLL(None, use_errno=True) if told and sys.platform == "linux" else None
        self._descriptor = self._library.inotify_init1(_NONBLOCK | _CLOEXEC) if self._library else -1
        self._names: dict[int, str] = {}
        self._everything = False

    def watch(self, name: str) -> None:
        """Tell from now on when something comes into this folder or leaves it. A folder that cannot be watched, the
        system has a limit, is not told of.
        """
        if self._library is None or self._descriptor < 0:
            return
        watch = self._library.inotify_add_watch(self._descriptor, os.fsencode(self._root / name), _COMES_AND_GOES)
        if watch >= 0:
            self._names[watch] = name
        elif ctypes.get_errno() == errno.ENOSPC:
            log.warning("no more folders can be watched (fs.inotify.max_user_watches): changes are found more slowly")
            self.close()

    def heard(self) -> set[str] | None:
        """The folders told of since last time; None when something was lost, and any of them may have changed."""
        told: set[str] = set()
        while self._descriptor >= 0:
            try:
                block = os.read(self._descriptor, _BLOCK)
            except BlockingIOError:
                break
            at = 0
            while at < len(block):
                watch, mask, _, length = _EVENT.unpack_from(block, at)
                at += _EVENT.size + length
                self._everything |= bool(mask & _OVERFLOW)
                name = self._names.pop(watch, None) if mask & _IGNORED else self._names.get(watch)
                if name is not None:
                    told.add(name)
        lost, self._everything = self._everything, False
        return None if lost else told

    def close(self) -> None:
        """Tell of nothing any more."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1
        self._names.clear()

    def __del__(self) -> None:
        self.close()
