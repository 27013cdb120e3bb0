"""Has trials held by a process of its own, which is started for the first and kept for the next."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import asdict
from typing import IO

from service.adapters.engines.trials.trial import Task

log = logging.getLogger(__name__)

_COMMAND = (sys.executable, "-m", "service.adapters.engines.trials.process")
_LONGEST_S = 600.0
"""What a trial may compute is bounded where it is held; on a machine under full load that takes a while."""


class TrialFailed(Exception):
    """There are no findings; the text says why."""


class Trials:
    """Thread-safe; one trial at a time."""

    def __init__(self, command: Sequence[str] = _COMMAND) -> None:
        """``command`` starts the process."""
        self._command = command
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._log: IO[bytes] | None = None
        self._closed = False

    def hold(self, task: Task) -> None:
        """Have a trial held. Blocks. Raises: TrialFailed."""
        with self._lock:
            fresh = self._process is None or self._process.poll() is not None
            answer = self._ask(task)
            if not answer and not fresh and not self._closed:
                answer = self._ask(task)  # it had ended by itself just then
            if not answer:
                raise TrialFailed(self._epitaph())
        reason = json.loads(answer)
        if reason is not None:
            raise TrialFailed(reason)

    def close(self) -> None:
        """End the process, whatever it is at."""
        self._closed = True
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def _ask(self, task: Task) -> str:
        """The answer, empty when the process ended instead."""
        process = self._running()
        assert process.stdin, "it is a pipe"
        assert process.stdout, "it is a pipe"
        watchdog = threading.Timer(_LONGEST_S, process.kill)
        watchdog.start()
        try:
            process.stdin.write(json.dumps(asdict(task)) + "\n")
            process.stdin.flush()
            answer = process.stdout.readline()
        except OSError:
            answer = ""
        finally:
            watchdog.cancel()
        if not answer:
            process.wait()  # it has let go of its pipes, and is to be gone before another is started
        return answer

    def _running(self) -> subprocess.Popen[str]:
        if self._closed:
            raise TrialFailed("the service is ending")
        if self._process is None or self._process.poll() is not None:
            self._log = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the process
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._log,
                text=True,
                env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
            )
            # It ends by itself when there is nothing to do, and is then to be gone, not to stand in the process table.
            threading.Thread(target=self._process.wait, name="trials-end", daemon=True).start()
        return self._process

    def _epitaph(self) -> str:
        """How the process ended."""
        assert self._process, "it was asked"
        assert self._log, "it was asked"
        status = self._process.wait()
        self._log.seek(0)
        lines = self._log.read().decode(errors="replace").strip().splitlines()
        log.warning("the process that holds trials ended with %s: %s", status, "; ".join(lines[-5:]))
        if status == -signal.SIGXCPU:
            return "comparing OpenVINO with TensorFlow takes too much computing"
        return f"the process that compares OpenVINO with TensorFlow ended with status {status}"
