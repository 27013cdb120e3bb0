"""100 models of 3 versions each in one repository, one of them broken and one slow to load: does anything else wait?

Prints the times from the start of the process: ports open, first model, all but the slow one, ready; and how long a
status and a prediction took meanwhile. Ends with status 1 unless everything else was live before the slow version, the
broken model alone failed, and no answer took longer than a second.
"""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx
from shared.server_process import ENVIRONMENT, serving

MODELS, VERSIONS = 100, 3
BROKEN, SLOW = "model-040", "model-060"
LONGEST_ANSWER_S = 1.0
BUILD = """
import sys, tensorflow as tf
class Scaled(tf.Module):
    def __init__(self):
        self.factor = tf.Variable(tf.ones([64, 64]))
    @tf.function(input_signature=[tf.TensorSpec([None, 64], tf.float32, name="x")])
    def scaled(self, x):
        return {"y": x @ self.factor}
    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
    def slow(self, x):
        one = tf.eye(400)
        step = lambda i, square: (i + 1, tf.linalg.matmul(square, one))
        square = tf.while_loop(lambda i, _: i < 5000, step, (0, one))[1]
        return {"y": x * square[0, 0]}
module = Scaled()
tf.saved_model.save(module, sys.argv[1] + "/quick", signatures=module.scaled)
tf.saved_model.save(module, sys.argv[1] + "/slow", signatures=module.slow)
"""


def build(directory: Path) -> Path:
    """The repository. Every load of the slow model runs it, to see whether its rows may be batched and to warm it."""
    subprocess.run([sys.executable, "-c", BUILD, str(directory)], check=True, env=ENVIRONMENT, capture_output=True)
    repository = directory / "models"
    for number in range(MODELS):
        name = f"model-{number:03}"
        for version in range(1, VERSIONS + 1):
            kind = "slow" if name == SLOW and version == VERSIONS else "quick"
            shutil.copytree(directory / kind, repository / name / str(version))
    # Every version of it: else one of the older stands in.
    for version in range(1, VERSIONS + 1):
        (repository / BROKEN / str(version) / "saved_model.pb").write_bytes(b"no graph")
    return repository


def measure(directory: Path, repository: Path, keep: int) -> bool:
    """One start; whether it met the bar."""
    begun = time.perf_counter()
    times: dict[str, float] = {}
    status_s: list[float] = []
    predict_s: list[float] = []
    quick = {f"model-{number:03}" for number in range(MODELS)} - {BROKEN, SLOW}
    row = {"instances": [[1.0] * 64]}
    flags = ("--repository", str(repository), "--keep", str(keep))
    with serving(directory, *flags) as server, httpx.Client(base_url=server.rest, timeout=60) as http:
        times["ports open"] = time.perf_counter() - begun
        live: set[str] = set()
        while "ready" not in times:
            asked = time.perf_counter()
            listed = http.get("/v1/models").json()["models"]
            status_s.append(time.perf_counter() - asked)
            live = {one["name"] for one in listed if sum(v["state"] == "live" for v in one["versions"]) == keep}
            if live:
                times.setdefault("first model live", time.perf_counter() - begun)
                asked = time.perf_counter()
                http.post(f"/v1/models/{min(live - {SLOW}, default=SLOW)}:predict", json=row).raise_for_status()
                predict_s.append(time.perf_counter() - asked)
            if live >= quick:
                times.setdefault("all but slow and broken", time.perf_counter() - begun)
                times.setdefault("slow was live then", float(SLOW in live))
            if http.get("/readyz").status_code == 200:
                times["ready"] = time.perf_counter() - begun
            time.sleep(0.02)
        failed = {one["name"] for one in listed if any(v["state"] == "failed" for v in one["versions"])}
    slow_first = times.pop("slow was live then", float(True))
    print(f"{MODELS} models x {VERSIONS} versions, the newest {keep} of each live")
    for what, seconds in times.items():
        print(f"  {what:<26} {seconds:>7.2f} s")
    for what, seen in (("status of all models", status_s), ("a prediction", predict_s)):
        print(f"  {what:<26} median {statistics.median(seen) * 1e3:>6.1f} ms, longest {max(seen) * 1e3:>6.1f} ms")
    good = failed == {BROKEN} and not slow_first and max([*status_s, *predict_s]) <= LONGEST_ANSWER_S
    print(f"  failed: {', '.join(sorted(failed))}; the slow one was {'' if slow_first else 'not '}waited for")
    return good


def main() -> int:
    """Measure with one and with all versions live."""
    with tempfile.TemporaryDirectory() as temporary:
        directory = Path(temporary)
        repository = build(directory)
        good = [measure(directory / f"keep-{keep}", repository, keep) for keep in (1, VERSIONS)]
        return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
