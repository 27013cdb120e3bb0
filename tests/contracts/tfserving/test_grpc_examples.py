"""2.3, 2.4: Classify, Regress and MultiInference over gRPC."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import grpc
import pytest
from contract_client import CALL_S, Answer, Target, fill, rejected, same
from tensorflow import train
from tensorflow_serving.apis import (
    classification_pb2,
    inference_pb2,
    input_pb2,
    regression_pb2,
)

INVALID = grpc.StatusCode.INVALID_ARGUMENT
CLASSIFY, REGRESS = "tensorflow/serving/classify", "tensorflow/serving/regress"


def into(serialized: Sequence[bytes], context: bytes | None = None) -> input_pb2.Input:
    """Examples as the message has them."""
    examples = [train.Example.FromString(one) for one in serialized]
    if context is None:
        return input_pb2.Input(example_list=input_pb2.ExampleList(examples=examples))
    shared = input_pb2.ExampleListWithContext(examples=examples, context=train.Example.FromString(context))
    return input_pb2.Input(example_list_with_context=shared)


def floats(**features: float) -> bytes:
    """A serialized example of floats."""
    made = train.Example()
    for name, value in features.items():
        made.features.feature[name].float_list.value.append(value)
    return made.SerializeToString()


def classify(target: Target, given: input_pb2.Input, model: str = "examples", **spec: Any) -> Any:
    """Classify."""
    request = classification_pb2.ClassificationRequest(input=given)
    fill(request.model_spec, model, **spec)
    return target.prediction.Classify(request, timeout=CALL_S)


def regress(target: Target, given: input_pb2.Input, model: str = "examples", **spec: Any) -> Any:
    """Regress."""
    request = regression_pb2.RegressionRequest(input=given)
    fill(request.model_spec, model, **spec)
    return target.prediction.Regress(request, timeout=CALL_S)


def tasks(given: input_pb2.Input, *wanted: tuple[str, str, str]) -> inference_pb2.MultiInferenceRequest:
    """A MultiInference of (model, signature, method)."""
    request = inference_pb2.MultiInferenceRequest(input=given)
    for model, signature, method in wanted:
        task = request.tasks.add(method_name=method)
        fill(task.model_spec, model, signature_name=signature)
    return request


def holds(result: classification_pb2.ClassificationResult, answer: Answer) -> None:
    """Each example's classes, as the outputs of the graph have them."""
    if "scores" in answer.outputs:
        said = [[one.score for one in row.classes] for row in result.classifications]
        same(said, answer.outputs["scores"])
    if "classes" in answer.outputs:
        same([[one.label for one in row.classes] for row in result.classifications], answer.outputs["classes"])


@pytest.mark.parametrize("signature", ["serving_default", "scores_only", "classes_only", "words"])
def test_classify(target: Target, signature: str) -> None:
    """2.4: classes, scores or both."""
    answer = target.answer(f"examples-{signature}")
    said = classify(target, into(answer.inputs["inputs"]), signature_name=signature)
    holds(said.result, answer)
    assert said.model_spec.name == "examples"
    assert said.model_spec.version.value == 1
    assert said.model_spec.signature_name == signature


def test_classify_without_labels(target: Target) -> None:
    """2.4: no classes are empty labels, one for every score."""
    answer = target.answer("examples-scores_only")
    said = classify(target, into(answer.inputs["inputs"]), signature_name="scores_only")
    assert [[one.label for one in row.classes] for row in said.result.classifications] == [["", ""]] * 2


def test_default_signature(target: Target) -> None:
    """2.3: an empty signature name is ``serving_default``, and the answer says so."""
    answer = target.answer("examples-serving_default")
    said = classify(target, into(answer.inputs["inputs"]))
    holds(said.result, answer)
    assert said.model_spec.signature_name == "serving_default"


@pytest.mark.parametrize("signature", ["regress", "regress_flat", "regress_int", "regress_pair", "regress_shifted"])
def test_regress(target: Target, signature: str) -> None:
    """2.4: outputs [b] and [b, 1] alike."""
    answer = target.answer(f"examples-{signature}")
    said = regress(target, into(answer.inputs["inputs"]), signature_name=signature)
    same([one.value for one in said.result.regressions], answer.output.reshape(-1))
    assert said.model_spec.version.value == 1
    assert said.model_spec.signature_name == signature


def test_context(target: Target) -> None:
    """2.3: the context's features are every example's, and an example's own win."""
    given = into([floats(x=1.0), floats(x=2.0, shift=10.0)], floats(shift=0.5))
    said = regress(target, given, signature_name="regress_shifted")
    same([one.value for one in said.result.regressions], target.answer("examples-regress_shifted").output.reshape(-1))


def test_multi_inference(target: Target) -> None:
    """2.3: one input, several answers in the order of the tasks, each with its model_spec."""
    both, one = target.answer("examples-serving_default"), target.answer("examples-regress")
    request = tasks(
        into(one.inputs["inputs"]),
        ("examples", "regress", REGRESS),
        ("examples", "serving_default", CLASSIFY),
    )
    first, second = target.prediction.MultiInference(request, timeout=CALL_S).results
    same([value.value for value in first.regression_result.regressions], one.output.reshape(-1))
    holds(second.classification_result, both)
    assert (first.model_spec.name, first.model_spec.version.value) == ("examples", 1)
    assert first.model_spec.signature_name == "regress"
    assert second.model_spec.signature_name == "serving_default"


ONE = into([floats(x=1.0)])
EMPTY = (input_pb2.Input(), into([]), into([], floats(x=1.0)))


@pytest.mark.parametrize(("call", "signature"), [(classify, "serving_default"), (regress, "regress")])
@pytest.mark.parametrize("given", EMPTY, ids=["2.4 no input", "2.4 no examples", "2.4 context alone"])
def test_empty_input(target: Target, call: Any, signature: str, given: input_pb2.Input) -> None:
    """2.4: Input is empty."""
    with rejected(INVALID, "Input is empty"):
        call(target, given, signature_name=signature)


ERRORS = [
    ("unknown model", {"model": "x"}, grpc.StatusCode.NOT_FOUND, "Servable not found for request: Latest(x)"),
    ("unknown version", {"version": 9}, grpc.StatusCode.NOT_FOUND, "Specific(examples, 9)"),
    ("unknown label", {"version_label": "l"}, INVALID, "Unrecognized servable version label: l"),
    ("empty name", {"model": ""}, INVALID, "ModelSpec has no name specified."),
    ("unknown signature", {"signature_name": "s"}, INVALID, "No signature was found with the name: s"),
    ("no input called inputs", {"signature_name": "no_inputs_alias"}, INVALID, ""),
    ("nothing to answer with", {"signature_name": "no_answers"}, INVALID, ""),
]


@pytest.mark.parametrize("call", [classify, regress])
@pytest.mark.parametrize(("spec", "code", "gist"), [pytest.param(*case[1:], id=f"2.4 {case[0]}") for case in ERRORS])
def test_errors(target: Target, call: Any, spec: dict[str, Any], code: grpc.StatusCode, gist: str) -> None:
    """2.4: the same for both calls."""
    with rejected(code, gist):
        call(target, ONE, **spec)


def test_examples_that_the_graph_refuses(target: Target) -> None:
    """2.4: a feature that is not there is the graph's to say."""
    with rejected(INVALID):
        classify(target, into([floats(z=1.0)]))


MULTI = [
    (
        "names differ",
        [("examples", "regress", REGRESS), ("half", "serving_default", CLASSIFY)],
        INVALID,
        "All ModelSpecs in a MultiInferenceRequest must access the same model name.",
    ),
    ("empty name", [("", "regress", REGRESS)], INVALID, "Found ModelSpec with an empty model name."),
    (
        "signature twice",
        [("examples", "regress", REGRESS), ("examples", "regress", REGRESS)],
        INVALID,
        "Duplicate evaluation of signature: regress",
    ),
    (
        "another method",
        [("examples", "predict", "tensorflow/serving/predict")],
        grpc.StatusCode.UNIMPLEMENTED,
        "Unsupported signature method_name: tensorflow/serving/predict",
    ),
    (
        "unknown signature",
        [("examples", "s", REGRESS)],
        INVALID,
        "Requested signature not found in model graph: s",
    ),
    ("unknown model", [("x", "regress", REGRESS)], grpc.StatusCode.NOT_FOUND, "Servable not found"),
]


@pytest.mark.parametrize(("wanted", "code", "gist"), [pytest.param(*case[1:], id=f"2.4 {case[0]}") for case in MULTI])
def test_multi_inference_errors(
    target: Target, wanted: list[tuple[str, str, str]], code: grpc.StatusCode, gist: str
) -> None:
    """2.4: what MultiInference refuses."""
    with rejected(code, gist):
        target.prediction.MultiInference(tasks(ONE, *wanted), timeout=CALL_S)


def test_multi_inference_of_nothing(target: Target) -> None:
    """2.4: no examples."""
    with rejected(INVALID, "Input is empty"):
        request = tasks(input_pb2.Input(), ("examples", "regress", REGRESS))
        target.prediction.MultiInference(request, timeout=CALL_S)
