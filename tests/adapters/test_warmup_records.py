"""Warm-up records in TF Serving's own format, written here by TensorFlow and its messages."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from serving_fakes import signature, spec
from tensorflow_serving.apis import model_pb2, prediction_log_pb2

from service.adapters.rpc.warmup_records import FILE, WarmUpRecords
from service.application.ports import Request
from service.domain.errors import ModelFailed

Log = prediction_log_pb2.PredictionLog
SIGNATURES = {
    "serving_default": signature([spec("x", (None, 2))], [spec("y", (None,))]),
    "classify": signature([spec("inputs", (None,), "DT_STRING")], [spec("scores", (None, 2))]),
    "regress": signature([spec("examples", (None,), "DT_STRING")], [spec("outputs", (None,))]),
    "two": signature([spec("a", (None,)), spec("b", (None,))], [spec("y", (None,))]),
}


def example(**features: float) -> tf.train.Example:
    return tf.train.Example(
        features=tf.train.Features(
            feature={n: tf.train.Feature(float_list=tf.train.FloatList(value=[v])) for n, v in features.items()}
        )
    )


def predict(rows: int, name: str = "") -> Log:
    log = Log()
    request = log.predict_log.request
    request.model_spec.signature_name = name
    request.inputs["x"].CopyFrom(tf.make_tensor_proto(np.ones((rows, 2), np.float32)))
    return log


def on_examples(kind: str, name: str, count: int = 1) -> Log:
    log = Log()
    request = getattr(log, f"{kind}_log").request
    request.model_spec.signature_name = name
    request.input.example_list.examples.extend(example(f=i) for i in range(count))
    return log


def multi_inference() -> Log:
    log = Log()
    request = log.multi_inference_log.request
    for name in ("classify", "regress"):
        request.tasks.add(model_spec=model_pb2.ModelSpec(signature_name=name))
    given = request.input.example_list_with_context
    given.context.CopyFrom(example(shared=7))
    given.examples.extend([example(own=1), example(own=2)])
    return log


def write(directory: Path, *records: bytes | Log) -> Path:
    file = directory / FILE
    file.parent.mkdir(parents=True, exist_ok=True)
    with tf.io.TFRecordWriter(str(file)) as writer:
        for record in records:
            writer.write(record if isinstance(record, bytes) else record.SerializeToString())
    return file


def read(directory: Path) -> list[Request]:
    return list(WarmUpRecords().requests(directory, SIGNATURES))


def test_a_version_without_the_file_has_none(tmp_path: Path) -> None:
    assert read(tmp_path) == []


def test_every_kind_of_record_becomes_the_requests_that_a_door_would_have_made(tmp_path: Path) -> None:
    logs = (predict(3), predict(1, "serving_default"), on_examples("classify", "classify", 2))
    write(tmp_path, *logs, on_examples("regress", "regress"), multi_inference(), Log())
    requests = read(tmp_path)
    assert [(one.signature, *one.inputs) for one in requests] == [
        ("serving_default", "x"),
        ("serving_default", "x"),
        ("classify", "inputs"),
        ("regress", "examples"),
        ("classify", "inputs"),
        ("regress", "examples"),
    ]
    assert requests[0].inputs["x"].tolist() == [[1, 1]] * 3
    assert [len(one.inputs[next(iter(one.inputs))]) for one in requests[2:]] == [2, 1, 2, 2]


def test_a_context_is_part_of_every_example(tmp_path: Path) -> None:
    write(tmp_path, multi_inference())
    parsed = [tf.train.Example.FromString(one) for one in read(tmp_path)[0].inputs["inputs"]]
    assert [{n: f.float_list.value[0] for n, f in one.features.feature.items()} for one in parsed] == [
        {"shared": 7, "own": 1},
        {"shared": 7, "own": 2},
    ]


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (on_examples("classify", "classify", 0), "Input is empty."),
        (on_examples("classify", "nowhere"), "No signature was found with the name: nowhere"),
        (on_examples("classify", "two"), "takes 2 inputs"),
        (Log(session_run_log=prediction_log_pb2.SessionRunLog()), "Unsupported log_type for warmup: session_run_log"),
        (b"\xff\xff", "no PredictionLog"),
    ],
)
def test_one_that_cannot_be_run_is_named_by_its_number(tmp_path: Path, bad: bytes | Log, says: str) -> None:
    write(tmp_path, predict(1), bad)
    with pytest.raises(ModelFailed, match=says) as caught:
        read(tmp_path)
    assert "record 2" in str(caught.value)


def test_a_file_that_is_torn_says_so(tmp_path: Path) -> None:
    file = write(tmp_path, predict(1), predict(2))
    file.write_bytes(file.read_bytes()[:-3])
    with pytest.raises(ModelFailed, match="cannot be read as a TFRecord file"):
        read(tmp_path)


def test_more_than_a_thousand_are_too_many(tmp_path: Path) -> None:
    write(tmp_path, *[predict(1)] * 1000)
    assert len(read(tmp_path)) == 1000
    write(tmp_path, *[predict(1)] * 1001)
    with pytest.raises(ModelFailed, match=r"Number of warmup records exceeds the maximum \(1000\)"):
        read(tmp_path)
