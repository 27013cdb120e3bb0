"""What an engine does without a server around it: ``mnv`` in a process that runs when it is told to.

    with engine("tensorflow") as run:
        rows_per_second = run(threads=16, rows=1, seconds=3)

OpenVINO has as many streams as cores, a thread each, and float32; TensorFlow its own defaults.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from shared import mobilenet
from shared.machine import cores
from shared.places import BENCHMARKS


class Run:
    """An engine's process: tell it to run, and it says how many rows a second it did."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self.pid, self._orders, self._answers = process.pid, process.stdin, process.stdout

    def __call__(self, threads: int, rows: int, seconds: float) -> float:
        """Rows a second of so many threads, each running batches of so many rows one after the other."""
        self._orders.write(json.dumps([threads, rows, seconds]) + "\n")
        self._orders.flush()
        return float(self._answers.readline())

    def close(self) -> None:
        """Let it end."""
        self._orders.close()


@contextmanager
def engine(name: str) -> Iterator[Run]:
    """``tensorflow``, ``frozen``, ``openvino`` or ``graft`` in a process of its own, idle but when it is asked."""
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": str(BENCHMARKS)}
    command = [sys.executable, "-m", "shared.in_process", name, str(mobilenet.mobilenet() / "1")]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
    ) as process:
        run = Run(process)
        try:
            yield run
        finally:
            run.close()


def _tensorflow(directory: str) -> Callable[[], Callable[[Any], Any]]:
    import tensorflow as tf

    model = tf.saved_model.load(directory)
    function = model.signatures["serving_default"]

    def one() -> Callable[[Any], Any]:
        return lambda rows: function(**{mobilenet.INPUT: tf.constant(rows)})[mobilenet.OUTPUT].numpy()

    one.keeps = model  # type: ignore[attr-defined]
    return one


def _openvino(directory: str) -> Callable[[], Callable[[Any], Any]]:
    import openvino

    core = openvino.Core()
    options = {"INFERENCE_PRECISION_HINT": "f32", "NUM_STREAMS": cores(), "INFERENCE_NUM_THREADS": cores()}
    compiled = core.compile_model(core.read_model(directory), "CPU", options)
    # Threads that are the first to hand it arrays at once can hold each other up for ever (`openvino/runtime.py`).
    compiled.create_infer_request().infer([mobilenet.inputs(1)])

    def one() -> Callable[[Any], Any]:
        request = compiled.create_infer_request()
        return lambda rows: request.infer([rows])

    return one


def _frozen(directory: str) -> Callable[[], Callable[[Any], Any]]:
    """TensorFlow with the variables written into the graph."""
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    model = tf.saved_model.load(directory)
    frozen = convert_variables_to_constants_v2(model.signatures["serving_default"])
    return lambda: lambda rows: frozen(tf.constant(rows))[0].numpy()


def _graft(directory: str) -> Callable[[], Callable[[Any], Any]]:
    """What the service calls, whatever engine it has chosen."""
    from service.adapters.engines.engine_cache import EngineCache
    from service.adapters.engines.saved_model_engine import EngineWish, SavedModelEngine
    from service.adapters.engines.tensorflow_engine import TensorFlowEngine
    from service.adapters.engines.trials import Trials

    trials = Trials()
    engine = SavedModelEngine(TensorFlowEngine(), trials, EngineCache(None, 0), EngineWish(lanes=cores()))
    graph = engine.load(Path(directory))
    trials.close()
    return lambda: lambda rows: graph.run("serving_default", {mobilenet.INPUT: rows})


def _measured(make: Callable[[], Callable[[Any], Any]], threads: int, rows: int, seconds: float) -> float:
    """Rows a second. Every thread has run a batch of this size before the clock starts."""
    batch, counts = mobilenet.inputs(rows), [0] * threads
    barrier, stop = threading.Barrier(threads + 1), threading.Event()

    def work(at: int) -> None:
        call = make()
        call(batch)
        barrier.wait()
        while not stop.is_set():
            call(batch)
            counts[at] += rows

    working = [threading.Thread(target=work, args=(at,)) for at in range(threads)]
    for one in working:
        one.start()
    barrier.wait()
    began = time.perf_counter()
    time.sleep(seconds)
    done, took = sum(counts), time.perf_counter() - began
    stop.set()
    for one in working:
        one.join()
    return done / took


if __name__ == "__main__":
    makers = {"tensorflow": _tensorflow, "frozen": _frozen, "openvino": _openvino, "graft": _graft}
    maker = makers[sys.argv[1]](sys.argv[2])
    for order in sys.stdin:
        print(_measured(maker, *json.loads(order)), flush=True)
