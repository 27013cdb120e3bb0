"""Large bodies of numbers are read in a process beside this one, for no parser lets go of the interpreter's lock.

A body of a megabyte holds that lock for three milliseconds, and meanwhile no event loop hands the next request to an
engine that has nothing to do. The process is started for the first such body; until it is there, and where there is
none, bodies are read here.
"""

from __future__ import annotations

import logging
import mmap
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence

from service.adapters.rest import number_program, plain_numbers
from service.adapters.rest.number_program import LARGEST, LONGEST_WORD, MEMORY, READY
from service.adapters.rest.plain_numbers import NumberRequest
from service.adapters.rest.reading_thread import is_quick

log = logging.getLogger(__name__)

_COMMAND = (sys.executable, "-m", "service.adapters.rest.number_program")
_KEPT_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(2**25), "MALLOC_TRIM_THRESHOLD_": str(2**26)}
"""glibc is to keep what one body took for the next: to give pages back and take them again is a fifth of reading it."""
_LONGEST_S = 20.0
"""What is read in milliseconds, on a machine under any load."""


class NumberProcess:
    """Reads bodies of numbers. Thread-safe; one large body at a time."""

    def __init__(self, command: Sequence[str] = _COMMAND, longest_s: float = _LONGEST_S) -> None:
        """``command`` starts the process, which may take ``longest_s`` for a body."""
        self._command, self._longest_s = command, longest_s
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._words: socket.socket | None = None
        self._memory: mmap.mmap | None = None
        self._ready = False
        self._possible = hasattr(os, "memfd_create")

    def read(self, body: bytes) -> NumberRequest | None:
        """The request, or None when there is anything to it but numbers: as ``plain_numbers.read`` has it."""
        if is_quick(len(body)) or len(body) > LARGEST:
            return plain_numbers.read(body)
        with self._lock:
            if not self._is_ready():
                return plain_numbers.read(body)
            return self._asked(body)

    def close(self) -> None:
        """End the process, whatever it is at; what it reads then is read with care here."""
        self._possible = False
        process = self._process
        if process is not None:
            process.kill()
            process.wait()
        with self._lock:
            self._forget()

    def _asked(self, body: bytes) -> NumberRequest | None:
        assert self._words is not None
        assert self._memory is not None
        try:
            self._memory[: len(body)] = body
            self._words.settimeout(self._longest_s)
            self._words.send(b"%d" % len(body))
            said = self._words.recv(LONGEST_WORD)
        except OSError as error:
            self._lost(str(error) or type(error).__name__)
            return None
        if not said:
            self._lost("it ended")
            return None
        return number_program.found(said, self._memory)

    def _lost(self, why: str) -> None:
        """Nobody knows what this body did to the process, so no parser of its kind is to have it here."""
        if self._possible:
            log.warning("the process that reads numbers is lost: %s; another one is started", why)
        self._forget()

    def _is_ready(self) -> bool:
        if not self._possible:
            return False
        if self._words is None:
            self._start()
        elif not self._ready:
            self._look_whether_ready()
        return self._ready

    def _start(self) -> None:
        try:
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            block = os.memfd_create("graft-numbers")
            try:
                os.ftruncate(block, MEMORY)
                self._memory, self._words = mmap.mmap(block, MEMORY), ours
                self._process = subprocess.Popen(
                    [*self._command, str(theirs.fileno()), str(block)],
                    pass_fds=(theirs.fileno(), block),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    env={**os.environ, **_KEPT_MEMORY},
                    start_new_session=True,
                )
            finally:
                os.close(block)
                theirs.close()
        except OSError as error:
            self._give_up(str(error))

    def _look_whether_ready(self) -> None:
        assert self._words is not None
        self._words.setblocking(False)
        try:
            said = self._words.recv(LONGEST_WORD)
        except BlockingIOError:
            return
        except OSError:
            said = b""
        self._ready = said == READY
        if not self._ready:
            self._give_up("it ended before it began")

    def _give_up(self, why: str) -> None:
        self._possible = False
        log.warning("numbers are read without a process of their own: %s", why)
        self._forget()

    def _forget(self) -> None:
        self._ready = False
        if self._words is not None:
            self._words.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        # The memory is not closed: a view of it may be left where reading failed.
        self._process = self._words = self._memory = None
