"""Classification and regression as TensorFlow Serving knows them: what a signature for them is like, and how its
outputs are read. Their input is one tensor of serialized ``tf.Example``, a row each.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from service.domain.errors import InvalidInput
from service.domain.tensors import Array, Signature, Tensors, type_name

INPUTS = "inputs"
CLASSES, SCORES = "classes", "scores"
REGRESSED = "outputs"
CLASSIFY_METHOD = "tensorflow/serving/classify"
REGRESS_METHOD = "tensorflow/serving/regress"

Label = bytes
Classification = Sequence[tuple[Label, Any]]
"""Labels and float32 scores of one example, in the model's order."""


def check_classifier(signature: Signature) -> None:
    """Raises: InvalidInput, a signature cannot classify examples."""
    _check_input(signature, "classification")
    if len(signature.outputs) not in (1, 2):
        raise InvalidInput(f"Expected one or two output Tensors, found {len(signature.outputs)}")
    if not signature.outputs.keys() & {CLASSES, SCORES}:
        raise InvalidInput(
            f'Expected classification signature outputs to contain at least one of "{CLASSES}" or "{SCORES}", '
            f"found {','.join(sorted(signature.outputs))}"
        )


def check_regressor(signature: Signature) -> None:
    """Raises: InvalidInput, a signature cannot regress from examples."""
    _check_input(signature, "regression")
    if len(signature.outputs) != 1:
        raise InvalidInput(f"Expected one output Tensor, found {len(signature.outputs)}")
    if REGRESSED not in signature.outputs:
        raise InvalidInput(f'No regression outputs found in signature, expected one named "{REGRESSED}"')


def _check_input(signature: Signature, what: str) -> None:
    if len(signature.inputs) != 1:
        raise InvalidInput(f"Expected one input Tensor, found {len(signature.inputs)}")
    if INPUTS not in signature.inputs:
        raise InvalidInput(f'No {what} inputs found in signature, expected one named "{INPUTS}"')


def classifications(outputs: Tensors, examples: int) -> list[Classification]:
    """The classes and scores of each example. Without classes a label is empty, without scores a score is zero.

    Raises:
        InvalidInput: the outputs are none of a classifier.
    """
    given = {alias: outputs[alias] for alias in (CLASSES, SCORES) if alias in outputs}
    for alias, wanted in ((CLASSES, "DT_STRING"), (SCORES, "DT_FLOAT")):
        if alias in given:
            _check_output(alias, given[alias], wanted, examples)
    shapes = [array.shape for array in given.values()]
    if not shapes:
        raise InvalidInput("the model gave neither classes nor scores")
    if len(set(shapes)) > 1:
        raise InvalidInput(
            f"Tensors class and score should match in dim_size(1). Got {shapes[0][1]} vs. {shapes[1][1]}"
        )
    labels = given.get(CLASSES, np.full(shapes[0], b"", dtype=object))
    scores = given.get(SCORES, np.zeros(shapes[0], np.float32))
    return [list(zip(map(_label, row), numbers, strict=True)) for row, numbers in zip(labels, scores, strict=True)]


def _check_output(alias: str, array: Array, wanted: str, examples: int) -> None:
    if array.ndim != 2:
        raise InvalidInput(f"Expected Tensor shape: [batch_size num_classes] but got {list(array.shape)}")
    if type_name(array) != wanted:
        raise InvalidInput(f"Expected {alias} Tensor of {wanted}. Got: {type_name(array)}")
    if array.shape[0] != examples:
        raise InvalidInput(f"Expected {alias} output batch size of {examples}. Got: {array.shape[0]}")


def _label(value: Any) -> Label:
    return value.encode() if isinstance(value, str) else bytes(value)


def regressions(outputs: Tensors, examples: int) -> Array:
    """The float32 value of each example.

    Raises:
        InvalidInput: the output is none of a regressor.
    """
    array = outputs[REGRESSED]
    if array.ndim not in (1, 2) or (array.ndim == 2 and array.shape[1] != 1):
        raise InvalidInput(
            f"Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but got {list(array.shape)}"
        )
    if type_name(array) != "DT_FLOAT":
        raise InvalidInput(f"Expected output Tensor of DT_FLOAT. Got: {type_name(array)}")
    if array.shape[0] != examples:
        raise InvalidInput(f"Input batch size did not match output batch size: {examples} vs. {array.shape[0]}")
    return array.reshape(-1)
