"""A base without an answer of its own, and one that reads texts, as a real server serves them, with a head on each."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from real_server import ENVIRONMENT, GRAFT, Server

pytestmark = pytest.mark.e2e

WORDS = {
    "pos": ("good film", "great fun indeed", "lovely and good"),
    "neg": ("bad film", "awful stuff", "dull and bad"),
}


def train(repository: Path, scratch: Path, name: str, base: dict[str, Any], **more: Any) -> None:
    recipe = scratch / f"{name}.json"
    recipe.write_text(json.dumps({"apiVersion": "transfer/v1", "name": name, "base": base, **more}))
    command = [GRAFT, "train", str(recipe), "--repository", str(repository)]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base made of a foreign SavedModel, one of texts, and a head on each."""
    import tensorflow as tf

    root, scratch = tmp_path_factory.mktemp("repository"), tmp_path_factory.mktemp("scratch")
    module = tf.Module()
    module.kernel = tf.Variable(np.random.default_rng(0).normal(size=(4, 16)).astype(np.float32))
    look = tf.function(
        lambda x: {"seen": tf.nn.relu(x @ module.kernel)}, input_signature=[tf.TensorSpec([None, 4], tf.float32, "x")]
    )
    tf.saved_model.save(module, str(scratch / "eyes"), {"serving_default": look})
    train(root, scratch, "eyes", {"kind": "saved_model", "ref": str(scratch / "eyes")})
    rows = np.random.default_rng(1).normal(size=(120, 4)).astype(np.float32)
    np.savez(scratch / "rows.npz", x=rows, y=(rows[:, 0] > 0).astype(int))
    data = {"uri": str(scratch / "rows.npz")}
    train(root, scratch, "sign", {"kind": "version", "ref": "eyes"}, dataset=data)
    texts = [{"text": f"{text} {n}", "label": label} for n in range(12) for label in WORDS for text in WORDS[label]]
    (scratch / "texts.jsonl").write_text("\n".join(map(json.dumps, texts)))
    data = {"uri": str(scratch / "texts.jsonl")}
    params = {"vocabulary": 60, "length": 6, "embedding": 6, "units": 4}
    base = {"kind": "builder", "name": "bilstm", "params": params, "fit": {"steps": 60, "learning_rate": 2e-2}}
    train(root, scratch, "reader", base, dataset=data)
    train(
        root,
        scratch,
        "mood",
        {"kind": "version", "ref": "reader"},
        dataset=data,
        finetune={"enabled": "never"},
        baselines=["majority"],
    )
    return root


def predicted(server: Server, model: str, instances: Any) -> Any:
    answer = server.http.post(f"/v1/models/{model}:predict", json={"instances": instances})
    assert answer.status_code == 200, answer.text
    return answer.json()["predictions"]


def test_a_base_without_an_answer_gives_features_and_carries_heads(
    repository: Path, serve: Callable[..., Server]
) -> None:
    server = serve(repository).ready()
    for model in ("eyes", "sign", "reader", "mood"):
        server.wait_live(model, 1)
    rows = [[3.0, 0.0, 0.0, 0.0], [-3.0, 0.0, 0.0, 0.0]]
    features = predicted(server, "eyes", rows)
    assert np.asarray(features).shape == (2, 16)
    assert [row["classes"][0] for row in predicted(server, "sign", rows)] == ["1", "0"]
    texts = ["good fun", "bad stuff"]
    for model in ("reader", "mood"):
        assert [row["classes"][0] for row in predicted(server, model, texts)] == ["pos", "neg"]
