"""The same cases through everything that can stand behind a name: a lone SavedModel, a base, a head on it, TF Lite.

The head's answers are held against its own complete SavedModel run by TensorFlow, and ``alone`` is that SavedModel
with nothing of Graft's beside it: whoever asks cannot tell the two apart.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from typing import Any

import grpc
import numpy as np
import pytest
from contract_client import CALL_S, Answer, Target, arrays, at_all_depths, fill, rejected, same
from google.protobuf import json_format
from tensorflow import make_tensor_proto, train
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    inference_pb2,
    input_pb2,
)

INVALID = grpc.StatusCode.INVALID_ARGUMENT
CLASSIFY = "tensorflow/serving/classify"


@dataclass(frozen=True)
class Subject:
    """A model, and how its answers are kept."""

    model: str
    answers: str
    version: int = 1
    rtol: float = 1e-5
    spec: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.model


LONE = Subject("half", "half", version=2, rtol=0)
MANY = Subject("many", "many", rtol=1e-6)
ALONE, BASE, HEAD = (Subject(name, name) for name in ("alone", "digits", "digits-5-9"))
LITE = Subject("lite", "lite")
CLASSIFIERS = [ALONE, BASE, HEAD]


@pytest.fixture(params=[LONE, MANY, ALONE, BASE, HEAD, LITE], ids=str)
def subject(request: pytest.FixtureRequest) -> Subject:
    """Every kind of thing that answers."""
    return request.param  # type: ignore[no-any-return]


@pytest.fixture(params=CLASSIFIERS, ids=str)
def classifier(request: pytest.FixtureRequest) -> Subject:
    """Those with the signatures that Graft's trainer exports."""
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
def rows(target: Target, subject: Subject) -> Answer:
    """More rows than a batch has."""
    return target.answer(f"{subject.answers}-rows")


def holds(said: dict[str, Any], answer: Answer, subject: Subject) -> None:
    """All outputs, and no other."""
    assert said.keys() == answer.outputs.keys()
    for alias, expected in answer.outputs.items():
        same(said[alias], expected, rtol=subject.rtol)


def by_alias(predictions: list[Any], answer: Answer) -> dict[str, Any]:
    """Rows as REST gives them, as columns."""
    if len(answer.outputs) == 1:
        return {next(iter(answer.outputs)): predictions}
    return {alias: [row[alias] for row in predictions] for alias in predictions[0]}


def said_in_json(array: np.ndarray[Any, Any]) -> Any:
    """An array for a request."""
    return at_all_depths(
        array.tolist(), lambda one: {"b64": base64.b64encode(one).decode()} if isinstance(one, bytes) else one
    )


def examples(answer: Answer) -> input_pb2.Input:
    """Serialized examples as the message has them."""
    parsed = [train.Example.FromString(one) for one in answer.inputs["inputs"]]
    return input_pb2.Input(example_list=input_pb2.ExampleList(examples=parsed))


@pytest.mark.parametrize("count", [1, 2, 40])
def test_grpc_predict(target: Target, subject: Subject, rows: Answer, count: int) -> None:
    """2.3: one row, two, and more than a batch."""
    answer = rows.first(count)
    said = target.predict(subject.model, answer.inputs)
    holds(arrays(said.outputs), answer, subject)
    assert said.model_spec.name == subject.model
    assert said.model_spec.version.value == subject.version
    assert said.model_spec.signature_name == "serving_default"


def test_grpc_predict_by_version(target: Target, subject: Subject, rows: Answer) -> None:
    """2.3: the version by its number."""
    answer = rows.first(3)
    said = target.predict(subject.model, answer.inputs, version=subject.version)
    holds(arrays(said.outputs), answer, subject)


def test_output_filter(target: Target, subject: Subject, rows: Answer) -> None:
    """2.3: each output alone."""
    answer = rows.first(2)
    for alias, expected in answer.outputs.items():
        said = arrays(target.predict(subject.model, answer.inputs, output_filter=[alias]).outputs)
        assert list(said) == [alias]
        same(said[alias], expected, rtol=subject.rtol)


def test_rest_rows(target: Target, subject: Subject, rows: Answer) -> None:
    """1.5, 1.6: the row form, named inputs."""
    columns = {alias: said_in_json(value) for alias, value in rows.inputs.items()}
    instances = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    holds(by_alias(target.predict_rows(subject.model, instances), rows), rows, subject)


def test_rest_columns(target: Target, subject: Subject, rows: Answer) -> None:
    """1.5, 1.6: the columnar form."""
    columns = {alias: said_in_json(value) for alias, value in rows.inputs.items()}
    said = target.predict_columns(subject.model, columns)
    holds(said if len(rows.outputs) > 1 else {next(iter(rows.outputs)): said}, rows, subject)


def test_metadata(target: Target, subject: Subject) -> None:
    """1.9, 2.3: the same signatures over both doors, with the types and shapes that TensorFlow saved."""
    request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    fill(request.model_spec, subject.model)
    said = target.prediction.GetModelMetadata(request, timeout=CALL_S)
    assert said.model_spec.version.value == subject.version
    over_grpc = get_model_metadata_pb2.SignatureDefMap.FromString(said.metadata["signature_def"].value)
    over_rest = target.rest.get(f"/v1/models/{subject.model}/metadata").json()["metadata"]["signature_def"]
    assert json_format.ParseDict(over_rest, get_model_metadata_pb2.SignatureDefMap()) == over_grpc
    saved = target.signatures(subject.answers).signature_def
    if subject is not LITE:  # its file says nothing of the functions that it was not made from
        assert over_grpc.signature_def.keys() == saved.keys()
    for name, signature in over_grpc.signature_def.items():
        for side in ("inputs", "outputs"):
            ours, theirs = getattr(signature, side), getattr(saved[name], side)
            assert {a: one.dtype for a, one in ours.items()} == {a: one.dtype for a, one in theirs.items()}
            if subject is not LITE:
                assert {a: one.tensor_shape for a, one in ours.items()} == {
                    a: one.tensor_shape for a, one in theirs.items()
                }
        assert signature.method_name == saved[name].method_name


def test_status(target: Target, subject: Subject) -> None:
    """1.8: AVAILABLE, over both doors."""
    assert target.status(subject.model)[subject.version] == "AVAILABLE"
    said = target.rest.get(f"/v1/models/{subject.model}/versions/{subject.version}").json()
    assert [one["state"] for one in said["model_version_status"]] == ["AVAILABLE"]


def test_what_is_not_there(target: Target, subject: Subject, rows: Answer) -> None:
    """2.4: another version, label, signature and output."""
    answer = rows.first(1)
    with rejected(grpc.StatusCode.NOT_FOUND, f"Specific({subject.model}, 99)"):
        target.predict(subject.model, answer.inputs, version=99)
    with rejected(INVALID, "Unrecognized servable version label: l"):
        target.predict(subject.model, answer.inputs, version_label="l")
    with rejected(grpc.StatusCode.FAILED_PRECONDITION, 'Serving signature key "s" not found.'):
        target.predict(subject.model, answer.inputs, signature_name="s")
    with rejected(INVALID, "output tensor alias not found in signature: z"):
        target.predict(subject.model, answer.inputs, output_filter=["z"])


def test_inputs_that_do_not_fit(target: Target, subject: Subject, rows: Answer) -> None:
    """2.4: a name too many, another type, another shape; and it answers as ever after each."""
    answer = rows.first(2)
    alias = next(iter(answer.inputs))
    with rejected(INVALID, "input size does not match signature"):
        target.predict(subject.model, {**answer.inputs, "surplus": answer.inputs[alias]})
    with rejected(INVALID):
        target.predict(subject.model, {**answer.inputs, alias: make_tensor_proto(["text", "text"])})
    with rejected(INVALID):
        target.predict(subject.model, {**answer.inputs, alias: np.zeros((2, 1, 1, 1, 1), answer.inputs[alias].dtype)})
    holds(arrays(target.predict(subject.model, answer.inputs).outputs), answer, subject)


def test_rest_refuses_as_ever(target: Target, subject: Subject) -> None:
    """1.5: a key that is no input."""
    answer = target.post(f"/v1/models/{subject.model}:predict", {"instances": [{"surplus": 1}]})
    assert answer.status_code == 400
    assert "does not have named input: surplus" in answer.json()["error"]


# What only those have that Graft's trainer exports.


def test_classify(target: Target, classifier: Subject) -> None:
    """2.4: Classify, from examples."""
    answer = target.answer(f"{classifier.answers}-classify")
    request = classification_pb2.ClassificationRequest(input=examples(answer))
    fill(request.model_spec, classifier.model, signature_name="classify")
    said = target.prediction.Classify(request, timeout=CALL_S)
    rows = [row.classes for row in said.result.classifications]
    same([[one.label for one in row] for row in rows], answer.outputs["classes"])
    same([[one.score for one in row] for row in rows], answer.outputs["scores"], rtol=classifier.rtol)
    assert said.model_spec.version.value == 1


def test_classify_over_rest(target: Target, classifier: Subject) -> None:
    """1.7: the same from JSON."""
    answer = target.answer(f"{classifier.answers}-classify")
    features = [train.Example.FromString(one).features.feature["inputs"] for one in answer.inputs["inputs"]]
    body = {"signature_name": "classify", "examples": [{"inputs": list(one.float_list.value)} for one in features]}
    said = json.loads(target.post(f"/v1/models/{classifier.model}:classify", body).content)["results"]
    same([[label for label, _ in row] for row in said], answer.outputs["classes"])
    same([[score for _, score in row] for row in said], answer.outputs["scores"], rtol=classifier.rtol)


def test_predict_on_the_classify_signature(target: Target, classifier: Subject) -> None:
    """2.3: fed with serialized examples."""
    answer = target.answer(f"{classifier.answers}-classify")
    said = target.predict(classifier.model, answer.inputs, signature_name="classify")
    holds(arrays(said.outputs), answer, classifier)


def test_multi_inference(target: Target, classifier: Subject) -> None:
    """2.3: one task is enough."""
    answer = target.answer(f"{classifier.answers}-classify")
    request = inference_pb2.MultiInferenceRequest(input=examples(answer))
    task = request.tasks.add(method_name=CLASSIFY)
    fill(task.model_spec, classifier.model, signature_name="classify")
    (said,) = target.prediction.MultiInference(request, timeout=CALL_S).results
    rows = [row.classes for row in said.classification_result.classifications]
    same([[one.label for one in row] for row in rows], answer.outputs["classes"])
    same([[one.score for one in row] for row in rows], answer.outputs["scores"], rtol=classifier.rtol)


def test_regress_is_refused(target: Target, classifier: Subject) -> None:
    """2.4: a classifier has no outputs to regress with."""
    answer = target.post(
        f"/v1/models/{classifier.model}:regress", {"signature_name": "classify", "examples": [{"inputs": [0.0] * 64}]}
    )
    assert answer.status_code == 400


@pytest.mark.parametrize("door", ["REST", "gRPC"])
def test_encoded_images(target: Target, classifier: Subject, door: str) -> None:
    """1.5, 2.3: PNG files in, base64 in JSON."""
    answer = target.answer(f"{classifier.answers}-bytes")
    if door == "gRPC":
        said = arrays(target.predict(classifier.model, answer.inputs, signature_name="classify_bytes").outputs)
    else:
        instances = said_in_json(answer.inputs["image_bytes"])
        said = by_alias(target.predict_rows(classifier.model, instances, "classify_bytes"), answer)
    holds(said, answer, classifier)
