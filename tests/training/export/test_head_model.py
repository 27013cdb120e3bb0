"""A head of every task, exported on a tiny base: the graph answers as the head does, by numbers and by examples."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.domain.artifact import HEAD, InputKind, InputSpec
from service.domain.heads import AnswerForm, Head, features_at, read_head
from service.domain.learning import LearningTask
from training.export.extras import make_room, stored_ratio, write_golden, write_head
from training.export.graph import METHODS, parse_examples
from training.export.head_model import export_head

SPEC = InputSpec(InputKind.VECTOR, (4,))
INPUTS = np.random.default_rng(0).normal(size=(9, 4)).astype(np.float32)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Two cuts, of 3 and of 2 features."""
    import tensorflow as tf

    module = tf.Module()
    random = np.random.default_rng(1)
    module.weights = [tf.Variable(random.normal(size=(4, width)), dtype=tf.float32) for width in (3, 2)]

    @tf.function(input_signature=[tf.TensorSpec([None, 4], tf.float32, name="inputs")])
    def features(inputs: Any) -> dict[str, Any]:
        return {name: tf.nn.relu(inputs @ w) for name, w in zip(("wide", "thin"), module.weights, strict=True)}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="inputs")])
    def features_from_examples(inputs: Any) -> dict[str, Any]:
        return dict(features(parse_examples(inputs, SPEC)))

    directory = str(tmp_path_factory.mktemp("base"))
    signatures = {"features": features, "features_from_examples": features_from_examples}
    tf.saved_model.save(module, directory, signatures=signatures)
    return tf.saved_model.load(directory)


def head_of(outputs: int, width: int, **more: Any) -> Head:
    random = np.random.default_rng(2)
    weights = random.normal(size=(outputs, width)).astype(np.float32)
    labels = tuple(f"label {place}" for place in range(outputs))
    return Head(weights, random.normal(size=outputs).astype(np.float32), labels, **more)


CASES = {
    "multiclass": (head_of(7, 3), "wide", "classify"),
    "binary": (head_of(2, 3, task=LearningTask.BINARY, thresholds=(0.3,)), "wide", "classify"),
    "multilabel": (head_of(3, 2, task=LearningTask.MULTILABEL, thresholds=(0.2, 0.5, 0.8)), "thin", "classify"),
    "one value": (head_of(1, 5, task=LearningTask.REGRESSION, half_widths=(0.7,)), "thin+wide", "regress"),
    "two values": (head_of(2, 5, task=LearningTask.REGRESSION), "wide+thin", None),
}


def examples() -> list[bytes]:
    import tensorflow as tf

    features = [tf.train.Feature(float_list=tf.train.FloatList(value=row.tolist())) for row in INPUTS]
    return [tf.train.Example(features=tf.train.Features(feature={"inputs": f})).SerializeToString() for f in features]


def same(answered: dict[str, Any], expected: dict[str, np.ndarray]) -> None:
    assert answered.keys() == expected.keys()
    for name, wanted in expected.items():
        got = answered[name].numpy()
        if wanted.dtype == object:
            assert got.tolist() == wanted.tolist()
        else:
            assert got.dtype == np.float32
            assert np.abs(got - wanted).max() <= 1e-5


@pytest.mark.parametrize("case", CASES)
def test_the_graph_answers_as_the_head(base: Any, case: str, tmp_path: Path) -> None:
    import tensorflow as tf
    from tensorflow.core.protobuf import saved_model_pb2

    head, cut, by_examples = CASES[case]
    exported = export_head(base, cut, head, SPEC, tmp_path)
    loaded = tf.saved_model.load(str(tmp_path))
    features = base.signatures["features"](inputs=tf.constant(INPUTS))
    at = features_at({name: tensor.numpy() for name, tensor in features.items()}, cut)
    same(loaded.signatures["serving_default"](inputs=tf.constant(INPUTS)), head.answer(at, AnswerForm.PREDICT))
    assert set(exported.routes) == {"serving_default", by_examples} - {None}
    if by_examples:
        answered = loaded.signatures[by_examples](inputs=tf.constant(examples()))
        same(answered, head.answer(at, AnswerForm(by_examples)))
        saved = saved_model_pb2.SavedModel.FromString((tmp_path / "saved_model.pb").read_bytes())
        assert saved.meta_graphs[0].signature_def[by_examples].method_name == METHODS[by_examples]
    assert stored_ratio(tmp_path, exported.weights) == 1.0


@pytest.mark.parametrize("case", CASES)
def test_the_stored_head_is_the_head(base: Any, case: str, tmp_path: Path) -> None:
    head, cut, _ = CASES[case]
    make_room(tmp_path)
    write_head(tmp_path, head)
    with np.load(tmp_path / HEAD, allow_pickle=False) as file:
        again = read_head(dict(file), head.labels, head.task)
    assert (again.task, again.thresholds, again.half_widths) == (head.task, head.thresholds, head.half_widths)
    assert (again.weights == head.weights).all()
    export_head(base, cut, head, SPEC, tmp_path)
    golden = write_golden(tmp_path, INPUTS, "inputs")
    assert golden
    assert all(array.dtype == np.float32 for array in golden.values())
