"""Classification and regression as messages: what of a model's outputs goes where in an answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from service.domain.errors import InvalidInput
from service.domain.inference import Classification
from service.domain.tensors import Array
from service.domain.versions import VersionId
from service.tensorflow_protos import classification_pb2, model_pb2, regression_pb2


def write_classifications(results: Sequence[Classification], message: classification_pb2.ClassificationResult) -> None:
    """Raises: InvalidInput, a label is no text."""
    for classes in results:
        one = message.classifications.add()
        for label, score in classes:
            one.classes.add(label=_text(label), score=float(score))


def write_regressions(values: Array, message: regression_pb2.RegressionResult) -> None:
    """One value an example."""
    for value in values.tolist():
        message.regressions.add(value=value)


def write_spec(version: VersionId, signature: str, message: model_pb2.ModelSpec) -> None:
    """What answered: never a label, always a version."""
    message.name = version.model
    message.version.value = version.version
    message.signature_name = signature


def _text(label: Any) -> str:
    try:
        return bytes(label).decode()
    except UnicodeDecodeError as error:
        raise InvalidInput("the model gave a class that is not UTF-8 text") from error
