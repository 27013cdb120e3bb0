"""What classification and regression ask of a signature, and how their outputs are read."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from service.domain.errors import InvalidInput
from service.domain.inference import check_classifier, check_regressor, classifications, regressions
from service.domain.tensors import Array, Signature, TensorSpec

TEXT = np.array([[b"cat", b"dog"], [b"cow", b"ant"]], dtype=object)
SCORES = np.array([[0.25, 0.75], [1, 0]], np.float32)


def signature(inputs: Sequence[str], outputs: Sequence[str]) -> Signature:
    def specs(names: Sequence[str]) -> dict[str, TensorSpec]:
        return {name: TensorSpec(name, "DT_STRING", None) for name in names}

    return Signature(specs(inputs), specs(outputs))


def test_a_classifier_takes_examples_and_gives_classes_or_scores() -> None:
    for outputs in (["classes"], ["scores"], ["classes", "scores"], ["scores", "else"]):
        check_classifier(signature(["inputs"], outputs))
    check_regressor(signature(["inputs"], ["outputs"]))


@pytest.mark.parametrize(
    ("check", "inputs", "outputs", "text"),
    [
        (check_classifier, ["inputs", "more"], ["scores"], "Expected one input Tensor"),
        (check_classifier, [], ["scores"], "Expected one input Tensor"),
        (check_classifier, ["x"], ["scores"], "No classification inputs found"),
        (check_classifier, ["inputs"], ["scores", "classes", "more"], "Expected one or two output Tensors"),
        (check_classifier, ["inputs"], [], "Expected one or two output Tensors"),
        (check_classifier, ["inputs"], ["y"], 'at least one of "classes" or "scores"'),
        (check_regressor, ["a", "b"], ["outputs"], "Expected one input Tensor"),
        (check_regressor, ["x"], ["outputs"], "No regression inputs found"),
        (check_regressor, ["inputs"], ["outputs", "more"], "Expected one output Tensor"),
        (check_regressor, ["inputs"], ["y"], "No regression outputs found"),
    ],
)
def test_any_other_signature_is_refused(
    check: Callable[[Signature], None], inputs: list[str], outputs: list[str], text: str
) -> None:
    with pytest.raises(InvalidInput, match=text):
        check(signature(inputs, outputs))


def test_classes_and_scores_belong_together_example_by_example() -> None:
    both = classifications({"classes": TEXT, "scores": SCORES}, 2)
    assert [list(one) for one in both] == [[(b"cat", 0.25), (b"dog", 0.75)], [(b"cow", 1), (b"ant", 0)]]
    assert [list(one) for one in classifications({"scores": SCORES[:1], "other": TEXT}, 1)] == [
        [(b"", 0.25), (b"", 0.75)]
    ]
    assert [list(one) for one in classifications({"classes": TEXT[:1]}, 1)] == [[(b"cat", 0), (b"dog", 0)]]
    assert classifications({"scores": SCORES[:, :0]}, 2) == [[], []]


@pytest.mark.parametrize(
    ("outputs", "text"),
    [
        ({"scores": SCORES[0]}, r"Expected Tensor shape: \[batch_size num_classes\] but got \[2\]"),
        ({"classes": TEXT[0]}, r"but got \[2\]"),
        ({"scores": SCORES.astype(np.float64)}, "Expected scores Tensor of DT_FLOAT. Got: DT_DOUBLE"),
        ({"classes": SCORES}, "Expected classes Tensor of DT_STRING. Got: DT_FLOAT"),
        ({"scores": SCORES[:1]}, "Expected scores output batch size of 2. Got: 1"),
        ({"classes": TEXT, "scores": SCORES[:, :1]}, r"match in dim_size\(1\). Got 2 vs. 1"),
        ({}, "neither"),
    ],
)
def test_outputs_that_are_no_classes_and_scores_are_refused(outputs: dict[str, Array], text: str) -> None:
    with pytest.raises(InvalidInput, match=text):
        classifications(outputs, 2)


def test_a_regression_is_a_number_an_example() -> None:
    assert regressions({"outputs": SCORES[0]}, 2).tolist() == [0.25, 0.75]
    assert regressions({"outputs": SCORES[:, :1]}, 2).tolist() == [0.25, 1]


@pytest.mark.parametrize(
    ("array", "text"),
    [
        (SCORES, r"\[batch_size\] or \[batch_size, 1\] but got \[2, 2\]"),
        (np.float32(1).reshape(()), r"but got \[\]"),
        (SCORES[0].astype(np.float64), "Expected output Tensor of DT_FLOAT. Got: DT_DOUBLE"),
        (SCORES[0, :1], "Input batch size did not match output batch size: 2 vs. 1"),
    ],
)
def test_outputs_that_are_no_numbers_an_example_are_refused(array: Array, text: str) -> None:
    with pytest.raises(InvalidInput, match=text):
        regressions({"outputs": array}, 2)
