"""Does the server's memory climb when a 15 MB model is loaded and unloaded 500 times?

Each cycle adds the model by HandleReloadConfigRequest, asks it once, takes it away again and waits until its graph is
freed; then the process's resident memory is read. Prints the slope after the warm-up with its 95 % interval, from means
of ten cycles each, because neighbouring cycles are alike; draws docs/plots/load_cycles.svg; and ends with status 1 when
the interval lies above 20 kB a cycle.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import grpc
import httpx
import numpy as np
from scipy import stats
from shared.line_plot import line_plot
from shared.server_process import ENVIRONMENT, ServerProcess, serving
from tensorflow_serving.apis import model_management_pb2, model_service_pb2_grpc

CYCLES, WARM_UP, BLOCK = 500, 100, 10
MOST_KB_A_CYCLE = 20.0
PLOT = Path(__file__).parents[1] / "docs" / "plots" / "load_cycles.svg"
BUILD = """
import sys, tensorflow as tf
class Wide(tf.Module):
    def __init__(self):
        self.weights = [tf.Variable(tf.random.normal([784, 2000])), tf.Variable(tf.random.normal([2000, 1150]))]
    @tf.function(input_signature=[tf.TensorSpec([None, 784], tf.float32, name="x")])
    def wide(self, x):
        return {"y": tf.reduce_sum(tf.nn.relu(x @ self.weights[0]) @ self.weights[1], axis=1)}
module = Wide()
tf.saved_model.save(module, sys.argv[1], signatures=module.wide)
"""


def cycle(server: ServerProcess, http: httpx.Client, stub: model_service_pb2_grpc.ModelServiceStub, base: Path) -> None:
    """Load, ask, unload."""
    request = model_management_pb2.ReloadConfigRequest()
    request.config.model_config_list.config.add(name="wide", base_path=str(base), model_platform="tensorflow")
    stub.HandleReloadConfigRequest(request, timeout=60)
    http.post("/v1/models/wide:predict", json={"instances": [[0.5] * 784]}).raise_for_status()
    request.config.model_config_list.ClearField("config")
    request.config.model_config_list.SetInParent()
    stub.HandleReloadConfigRequest(request, timeout=60)
    while server.loaded_graphs(http):
        time.sleep(0.005)


def measure(cycles: int) -> list[float]:
    """Resident memory in MB after each cycle."""
    with tempfile.TemporaryDirectory() as temporary:
        base = Path(temporary) / "wide"
        command = [sys.executable, "-c", BUILD, str(base / "1")]
        subprocess.run(command, check=True, env=ENVIRONMENT, capture_output=True)
        size = sum(file.stat().st_size for file in base.rglob("*") if file.is_file())
        flags = ("--repository", str(Path(temporary) / "none"), "--log-level", "warning")
        with (
            serving(Path(temporary) / "server", *flags) as server,
            httpx.Client(base_url=server.rest, timeout=60) as http,
            grpc.insecure_channel(server.grpc) as channel,
        ):
            stub = model_service_pb2_grpc.ModelServiceStub(channel)
            begun, seen = time.perf_counter(), []
            for _ in range(cycles):
                cycle(server, http, stub, base)
                seen.append(server.rss_mb())
            seconds = time.perf_counter() - begun
    print(f"{cycles} cycles of a model of {size / 1e6:.1f} MB in {seconds:.0f} s")
    return seen


def slope(memory: list[float]) -> tuple[float, float]:
    """MB a cycle after the warm-up, and half the width of its 95 % interval."""
    after = np.array(memory[WARM_UP:])
    blocks = after[: len(after) // BLOCK * BLOCK].reshape(-1, BLOCK).mean(axis=1)
    fit = stats.linregress(np.arange(len(blocks)) * BLOCK, blocks)
    return float(fit.slope), float(fit.stderr * stats.t.ppf(0.975, len(blocks) - 2))


def main() -> int:
    """Measure, print, draw; 0 when memory is flat."""
    memory = measure(CYCLES)
    per_cycle, either_way = slope(memory)
    low, high = (1e3 * (per_cycle + sign * either_way) for sign in (-1, 1))
    print(f"resident after cycle 1: {memory[0]:.0f} MB, {WARM_UP}: {memory[WARM_UP]:.0f} MB, last: {memory[-1]:.0f} MB")
    print(f"slope after {WARM_UP}: {per_cycle * 1e3:+.1f} kB a cycle, 95 % interval {low:+.1f} to {high:+.1f}")
    title = (
        f"{CYCLES} load/unload cycles: {per_cycle * 1e3:+.1f} kB a cycle after {WARM_UP} ({low:+.1f} to {high:+.1f})"
    )
    PLOT.parent.mkdir(parents=True, exist_ok=True)
    PLOT.write_text(line_plot(memory, title, "cycle", "resident memory, MB"))
    return 0 if low <= MOST_KB_A_CYCLE else 1


if __name__ == "__main__":
    sys.exit(main())
