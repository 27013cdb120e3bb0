"""500 labelled images of 224 x 224 pixels, uploaded, to a live head, beside the loop one would write with Keras.

The service has a trainer waiting, as it has by default. The clock runs from the beginning of the upload to the first
answer of the new head: checking, features, choice of the penalty by cross-validation, calibration, evaluation, export,
gate, publishing, loading. The other side is MobileNetV2 frozen in every step and a new last layer, ten epochs of Adam
from the same JPEG files, and nothing else: no choice, no test, no export. Its first three epochs are run and the other
seven reckoned from the second and third; ``--whole`` runs them all. Ends with status 1 unless the service takes at most
a fifth of the loop.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx
from shared.pictures import archive
from shared.places import repository
from shared.results import Table, at_most, conclude, parser
from shared.server_process import serving
from shared.tuning_base import NAME, SIDE, base, tune, wait_ended

ITEMS, QUICK_ITEMS, EPOCHS, ROUNDS = 500, 100, 10, 3
MOST = 1 / 5
RECIPE = {"finetune": {"enabled": "never"}, "baselines": ["majority"]}
LOOP = """
import os, sys, time
import keras, numpy as np
keras.utils.set_random_seed(1)
folder, epochs, side = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
began = time.perf_counter()
data = keras.utils.image_dataset_from_directory(folder, image_size=(side, side), batch_size=32, verbose=False)
classes = len(data.class_names)
body = keras.applications.MobileNetV2(weights=None, include_top=False, pooling="avg", input_shape=(side, side, 3))
body.trainable = False
inputs = keras.Input((side, side, 3))
scaled = keras.layers.Rescaling(1 / 127.5, -1)(inputs)
model = keras.Model(inputs, keras.layers.Dense(classes)(body(scaled, training=False)))
model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
class Told(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        print(time.perf_counter() - began, flush=True)
model.fit(data, epochs=epochs, verbose=0, callbacks=[Told()])
"""


def loop_seconds(images: Path, whole: bool) -> float:
    """Seconds of the Keras loop over all its epochs, TensorFlow being imported already."""
    run = EPOCHS if whole else 3
    command = [sys.executable, "-c", LOOP, str(images), str(run), str(SIDE)]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    said = subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout
    ends = [float(line) for line in said.split()]
    return ends[-1] + (EPOCHS - run) * (ends[-1] - ends[0]) / (run - 1)


def service_seconds(http: httpx.Client, images: Path, models: Path, head: str) -> tuple[float, dict[str, float]]:
    """From the upload to the first answer, and the trainer's own phases."""
    began = time.perf_counter()
    ended = wait_ended(http, tune(http, images, head, RECIPE))
    if ended["state"] != "succeeded":
        raise RuntimeError(f"the job {ended['state']}: {ended['error']}")
    while http.get(f"/v1/models/{head}").status_code != httpx.codes.OK or not _answers(http, head):
        time.sleep(0.01)
    seconds = time.perf_counter() - began
    report = models / head / str(ended["version"]) / "assets.extra" / "graft" / "report.json"
    return seconds, json.loads(report.read_text())["timings_s"]


def _answers(http: httpx.Client, head: str) -> bool:
    row = [[[0] * 3] * SIDE] * SIDE
    return http.post(f"/v1/models/{head}:predict", json={"instances": [row]}).status_code == httpx.codes.OK


def main() -> int:
    """Measure, print; 0 when the service takes at most a fifth."""
    options = parser(__doc__)
    options.add_argument("--whole", action="store_true", help="run all ten epochs of the loop")
    given = options.parse_args()
    rounds, items = (1, QUICK_ITEMS) if given.quick else (ROUNDS, ITEMS)
    table = Table(("what", "s"))
    ours: list[float] = []
    loops: list[float] = []
    phases: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        images, folder = place / "images.zip", place / "images"
        archive(images, items, SIDE)
        subprocess.run([sys.executable, "-m", "zipfile", "-e", str(images), str(folder)], check=True)
        served = repository(place / "models", base())
        with (
            serving(place / "server", "--repository", str(served)) as server,
            httpx.Client(base_url=server.rest, timeout=60) as http,
        ):
            server.wait_ready()
            for number in range(rounds):
                loops.append(loop_seconds(folder, given.whole))
                seconds, took = service_seconds(http, images, served, f"head-{number}")
                ours.append(seconds)
                for phase, its in took.items():
                    phases.setdefault(phase, []).append(its)
    table.add(f"upload of {items} images to live head on {NAME}", ours)
    for phase, its in phases.items():
        table.add(f"  of these, {phase}", its)
    table.add(f"Keras loop, {EPOCHS} epochs" + ("" if given.whole else ", 7 of them reckoned"), loops)
    ratios = [mine / theirs for mine, theirs in zip(ours, loops, strict=True)]
    return conclude("tune_500", table, [at_most("upload to live head / Keras loop", ratios, MOST)], given)


if __name__ == "__main__":
    sys.exit(main())
