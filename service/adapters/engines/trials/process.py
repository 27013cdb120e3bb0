"""The program that holds trials: a task a line on standard input, a line back when its findings are written.

It serves several models one after another, so that TensorFlow is imported once, and gives way to everything else on the
machine. It ends when nothing was asked for a while, when whoever started it is gone, or when a step of a trial takes
more computing than it should.
"""

from __future__ import annotations

import json
import os
import queue
import resource
import sys
import threading

from service.adapters.engines.tensorflow_engine import TensorFlowEngine
from service.adapters.engines.trials.trial import Task, Trial
from service.domain.errors import ServiceError

_NICENESS = 15
_IDLE_S = 60.0


def main() -> None:
    """Hold trials until there are no more."""
    os.setpriority(os.PRIO_PROCESS, 0, _NICENESS)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # an end for too much computing leaves one else
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what a model prints is no answer
    tasks: queue.Queue[str] = queue.Queue()
    threading.Thread(target=_listen, args=(tasks,), daemon=True).start()
    engines: dict[tuple[str, ...], TensorFlowEngine] = {}
    while True:
        try:
            task = Task(**json.loads(tasks.get(timeout=_IDLE_S)))
        except queue.Empty:
            return
        tags = tuple(task.tags)
        if tags not in engines:
            engines[tags] = TensorFlowEngine(tags=tags)
        answers.write(json.dumps(_held(task, engines[tags])) + "\n")


def _held(task: Task, tensorflow: TensorFlowEngine) -> str | None:
    """None when the findings are written, else why not."""
    try:
        Trial(task, tensorflow, allow).hold()
    except ServiceError as error:
        return str(error)
    except Exception as error:  # noqa: BLE001 - whatever it is, TensorFlow serves the model then
        return repr(error)
    return None


def _listen(tasks: queue.Queue[str]) -> None:
    for line in sys.stdin:
        tasks.put(line)
    os._exit(0)  # whoever asks is gone, and a model that hangs must not outlive him


def allow(seconds: int) -> None:
    """Let this process compute for so many seconds more, on all cores together, and end it then. Time on the clock says
    little of a process that gives way to everything.
    """
    used = resource.getrusage(resource.RUSAGE_SELF)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime) + seconds, hard))


if __name__ == "__main__":
    main()
