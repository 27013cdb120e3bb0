"""Networks built and trained on the spot: texts, tokens, and every task."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.domain.artifact import InputKind
from training.bases.base_model import BaseModel
from training.bases.builders import vocabulary
from training.bases.sources.built import from_builder
from training.errors import BadRecipe
from training.events import Announcer
from training.export.base_model import export_base
from training.recipe import parse_recipe

MLP = {"kind": "builder", "name": "mlp", "params": {"hidden": [12]}, "fit": {"steps": 150, "learning_rate": 1e-2}}
BILSTM = {
    "kind": "builder",
    "name": "bilstm",
    "params": {"vocabulary": 40, "length": 6, "embedding": 6, "units": 4},
    "fit": {"steps": 60, "learning_rate": 2e-2, "batch": 16},
}


def built(file: Path, base: dict[str, Any], task: str = "multiclass", **dataset: Any) -> BaseModel:
    recipe = parse_recipe(
        {
            "apiVersion": "transfer/v1",
            "name": "made",
            "base": base,
            "dataset": {"uri": str(file), **dataset},
            "head": {"task": task},
            "evaluate": {"bootstrap": 100},
        }
    )
    silent = Announcer({"fit": 1}, lambda event: None)
    return from_builder(recipe.base, recipe, file, lambda name, message: None, silent)  # type: ignore[arg-type]


def served(base: BaseModel, directory: Path) -> Any:
    import tensorflow as tf

    export_base(base.network, base.spec, base.labels, directory, base.task)
    return tf.saved_model.load(str(directory)).signatures


def write_table(path: Path, names: list[str], rows: Any) -> Path:
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(names)
        writer.writerows(rows)
    return path


NUMBERS = np.random.default_rng(0).normal(size=(200, 2))


def test_values_come_back_in_their_own_units(tmp_path: Path) -> None:
    wanted = 100 + 30 * NUMBERS[:, 0]
    file = write_table(tmp_path / "v.csv", ["a", "b", "price"], np.column_stack([NUMBERS, wanted]).tolist())
    base = built(file, MLP, "regression", label="price")
    assert (base.task, base.labels) == ("regression", ("price",))
    assert base.evaluated["arms"]["candidate"]["value"] < 0.3 * base.evaluated["arms"]["majority"]["value"]
    import tensorflow as tf

    signatures = served(base, tmp_path / "export")
    values = signatures["serving_default"](inputs=tf.constant(NUMBERS.astype(np.float32)))["values"].numpy()
    assert np.abs(values[:, 0] - wanted).mean() < 8
    assert "regress" in signatures


def test_labels_of_their_own_are_answered_one_by_one(tmp_path: Path) -> None:
    import tensorflow as tf

    rows = [[*row, int(row[0] > 0), int(row[1] > 0)] for row in NUMBERS.tolist()]
    file = write_table(tmp_path / "m.csv", ["a", "b", "red", "round"], rows)
    base = built(file, MLP, "multilabel", label=["red", "round"])
    assert (base.task, base.labels) == ("multilabel", ("red", "round"))
    corners = tf.constant([[2.0, 2.0], [-2.0, 2.0], [-2.0, -2.0]])
    answered = served(base, tmp_path / "export")["serving_default"](inputs=corners)
    assert (answered["probabilities"].numpy() > 0.5).tolist() == [[True, True], [False, True], [False, False]]


GOOD, BAD = ("good film", "great fun indeed", "lovely and good"), ("bad film", "awful stuff indeed", "dull and bad")


def test_texts_go_in_as_texts_and_the_vocabulary_is_of_the_training_texts_alone(tmp_path: Path) -> None:
    import tensorflow as tf

    rows = [
        {"text": f"{kind[item % 3]} w{item}", "label": label}
        for item in range(30)
        for kind, label in ((GOOD, "pos"), (BAD, "neg"))
    ]
    file = tmp_path / "t.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))
    base, again = built(file, BILSTM), built(file, BILSTM)
    assert (base.spec.kind, base.labels, base.pooling) == (InputKind.TEXT, ("neg", "pos"), "gap")
    assert dict(base.network.widths) == {"embedding": 6, "bilstm": 8}
    learned = base.model.get_layer("vectorise").get_vocabulary()
    assert len(learned) == 40
    signatures = served(base, tmp_path / "export")
    answered = signatures["serving_default"](inputs=tf.constant(["such good fun", "bad and awful"]))
    assert answered["classes"].numpy()[:, 0].tolist() == [b"pos", b"neg"]
    example = tf.train.Example(
        features=tf.train.Features(
            feature={"inputs": tf.train.Feature(bytes_list=tf.train.BytesList(value=[b"such good fun"]))}
        )
    )
    scores = signatures["classify"](inputs=tf.constant([example.SerializeToString()]))["scores"].numpy()
    assert scores[0] == pytest.approx(answered["probabilities"].numpy()[0], abs=1e-6)
    weights = [[np.asarray(weight) for weight in one.model.weights] for one in (base, again)]
    assert all((one == two).all() for one, two in zip(*weights, strict=True))


def test_tokens_of_any_length_are_cut_or_filled_up(tmp_path: Path) -> None:
    import tensorflow as tf

    draw = np.random.default_rng(0)
    rows = []
    for item in range(40):
        low, high = ((1, 5), (5, 9))[item % 2]
        rows.append({"tokens": draw.integers(low, high, 3 + item % 7).tolist(), "label": "ab"[item % 2]})
    file = tmp_path / "t.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))
    base = built(file, BILSTM)
    assert (base.spec.kind, base.spec.shape) == (InputKind.TOKENS, (6,))
    answer = served(base, tmp_path / "export")["serving_default"]
    # 500 is no token of the training data: it counts as unknown, and is no error.
    rows = tf.constant([[1, 2, 3, 0, 0, 0], [6, 7, 8, 6, 7, 500]], tf.int32)
    assert answer(inputs=rows)["classes"].numpy()[:, 0].tolist() == [b"a", b"b"]


def test_words_are_ordered_by_how_often_they_occur() -> None:
    assert vocabulary([b"b a", b"b c", b"b a"], 2) == ["b", "a"]


def test_networks_and_data_that_do_not_go_together(tmp_path: Path) -> None:
    file = write_table(tmp_path / "n.csv", ["a", "b", "label"], [[*row, "xy"[row[0] > 0]] for row in NUMBERS.tolist()])
    with pytest.raises(BadRecipe, match="a bilstm takes texts or tokens"):
        built(file, BILSTM)
    texts = tmp_path / "t.jsonl"
    texts.write_text("\n".join(json.dumps({"text": f"{word} {n}", "label": word}) for word in "ab" for n in range(9)))
    with pytest.raises(BadRecipe, match=r"take base\.name bilstm"):
        built(texts, MLP)
