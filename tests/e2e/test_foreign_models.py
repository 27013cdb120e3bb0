"""SavedModels that Graft did not write are served as TF Serving would, and a broken one harms nobody."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from real_server import ENVIRONMENT, Server, until

pytestmark = pytest.mark.e2e

EXPORTS = """
import sys, tensorflow as tf, keras
root = sys.argv[1]
model = keras.Sequential([keras.Input((3,), name="x"), keras.layers.Dense(2, kernel_initializer="ones")])
model.export(f"{root}/keras_export/1", verbose=False)

class Doubler(tf.Module):
    def __init__(self):
        self.factor = tf.Variable(2.0)
    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
    def double(self, x):
        return {"y": self.factor * x}
module = Doubler()
tf.saved_model.save(module, f"{root}/module/3", signatures=module.double)

v1 = tf.compat.v1
with v1.Graph().as_default(), v1.Session() as session:
    x = v1.placeholder(tf.float32, [None], name="x")
    table = v1.get_variable("factor", initializer=10.0)
    y = x * table
    session.run(v1.global_variables_initializer())
    v1.saved_model.simple_save(session, f"{root}/tf1/1", {"x": x}, {"y": y})
"""


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One SavedModel of each origin."""
    root = tmp_path_factory.mktemp("exported")
    subprocess.run([sys.executable, "-c", EXPORTS, str(root)], check=True, env=ENVIRONMENT, capture_output=True)
    return root


def _predicted(server: Server, model: str, instances: object) -> object:
    answer = server.http.post(f"/v1/models/{model}:predict", json={"instances": instances})
    assert answer.status_code == 200, answer.text
    return answer.json()["predictions"]


def test_each_kind_of_saved_model_answers(exported: Path, serve: Callable[..., Server]) -> None:
    """A Keras export, a tf.Module and a TF1 graph are served side by side."""
    server = serve(exported).ready()
    assert np.allclose(_predicted(server, "keras_export", [[1, 2, 3]]), [[6.0, 6.0]])
    assert _predicted(server, "module", [1, 2]) == [2.0, 4.0]
    assert _predicted(server, "tf1", [1, 2]) == [10.0, 20.0]


def test_models_dropped_in_later_go_live_and_a_broken_one_only_shows_its_error(
    exported: Path, tmp_path: Path, serve: Callable[..., Server]
) -> None:
    """Nothing restarts, and the broken model's neighbours and its own older version go on answering."""
    repository = tmp_path / "models"
    repository.mkdir()
    server = serve(repository)
    assert server.http.get("/readyz").status_code == 503, "a server with nothing to serve is not ready"

    for name in ("module", "tf1"):
        shutil.copytree(exported / name, repository / f".{name}")
        (repository / f".{name}").rename(repository / name)
    server.ready()
    server.wait_live("module", 3)
    server.wait_live("tf1", 1)

    broken = repository / "module" / "4"
    shutil.copytree(exported / "module" / "3", repository / "module" / ".4")
    (repository / "module" / ".4" / "variables" / "variables.index").write_bytes(b"not a checkpoint")
    (repository / "module" / ".4").rename(broken)
    (repository / "junk" / "1").mkdir(parents=True)
    (repository / "junk" / "1" / "saved_model.pb").write_bytes(b"not a graph")

    def failed(model: str, version: int) -> str | None:
        for listed in server.http.get("/v1/models").json()["models"]:
            for one in listed["versions"]:
                if (listed["name"], one["version"], one["state"]) == (model, version, "failed"):
                    return str(one["error"])
        return None

    assert "load" in until("module@4 fails", lambda: failed("module", 4))
    assert "saved_model.pb" in until("junk@1 fails", lambda: failed("junk", 1))
    assert server.metric('graft_version_failed{model="module",version="4"}') == 1
    assert server.metric('graft_version_failed{model="junk",version="1"}') == 1
    status = server.http.get("/v1/models/module").json()["model_version_status"]
    assert [(one["version"], one["state"]) for one in status] == [("4", "END"), ("3", "AVAILABLE")]
    assert status[0]["status"]["error_message"]
    assert server.http.get("/readyz").status_code == 200
    assert _predicted(server, "module", [1, 2]) == [2.0, 4.0]
    assert _predicted(server, "tf1", [1]) == [10.0]

    # Mended in place, it goes live by itself, and its error is gone from the metrics.
    shutil.copy(exported / "module/3/variables/variables.index", broken / "variables" / "variables.index")
    server.wait_live("module", 4)
    assert server.metric('graft_version_failed{model="module",version="4"}') is None
