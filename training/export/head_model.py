"""A head as a complete SavedModel: the base's own feature functions, taken from its SavedModel, with the head on top.

Needs no Keras. Only the variables that the feature functions read are written again; the base's output layer stays
behind.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from service.domain.artifact import HEAD_ROUTES, InputSpec, Route
from service.domain.heads import Head, cut_parts
from service.domain.tensors import DEFAULT_SIGNATURE
from training.export.graph import answering_signatures, numbers_spec, save_module, strings_spec, traced

SOURCES = {"numbers": "features", "examples": "features_from_examples", "bytes": "features_from_bytes"}
"""The base's signature for each way a request may come."""


@dataclass(frozen=True, slots=True)
class ExportedHead:
    """What was written: the manifest's routes, the bytes of each weight, and ``serving_default`` as it was written."""

    routes: Mapping[str, Route]
    weights: Mapping[str, int]
    answer: Callable[..., Mapping[str, Any]]


def export_head(base: Any, cut: str, head: Head, spec: InputSpec, directory: Path) -> ExportedHead:
    """Write the SavedModel of ``head`` on output ``cut`` of the loaded base, or on several joined by ``+``.

    Raises:
        KeyError: the base has no such cut.
    """
    import tensorflow as tf

    module = tf.Module()
    module.head_weights = tf.Variable(head.weights, name="head/weights")
    module.head_bias = tf.Variable(head.bias, name="head/bias")
    taken = {way: base.signatures[name] for way, name in SOURCES.items() if name in base.signatures}
    module.base_weights = _variables_of(list(taken.values()))
    # Lookup tables of the base, a text base's vocabulary for one.
    module.resources = list(getattr(base, "resources", ()))

    def answering(source: Any) -> Callable[[Any], Any]:
        (alias,) = source.structured_input_signature[1]

        def logits(inputs: Any) -> Any:
            outputs = source(**{alias: inputs})
            parts = [outputs[part] for part in cut_parts(cut, outputs)]
            features = parts[0] if len(parts) == 1 else tf.concat(parts, axis=1)
            return tf.linalg.matmul(features, module.head_weights, transpose_b=True) + module.head_bias

        return logits

    signatures: dict[str, Any] = {}
    for way, source in taken.items():
        signatures[SOURCES[way]] = _again(source, numbers_spec(spec) if way == "numbers" else None)
    ways = {way: answering(source) for way, source in taken.items()}
    answers = answering_signatures(spec, head.reply, ways)
    signatures.update(answers)
    save_module(module, directory, signatures)
    weights = {variable.name + str(at): _nbytes(variable) for at, variable in enumerate(module.base_weights)}
    weights.update(head_weights=head.weights.nbytes, head_bias=head.bias.nbytes)
    return ExportedHead({name: HEAD_ROUTES[name] for name in answers}, weights, answers[DEFAULT_SIGNATURE])


def _again(source: Any, spec: Any) -> Any:
    """A loaded signature as a function that can be saved again."""
    (alias,) = source.structured_input_signature[1]

    def features(inputs: Any) -> dict[str, Any]:
        return dict(source(**{alias: inputs}))

    return traced(features, spec if spec is not None else strings_spec(alias))


def _nbytes(variable: Any) -> int:
    return int(variable.shape.num_elements() * variable.dtype.size)


def _variables_of(functions: list[Any]) -> list[Any]:
    """The variables that any of the functions reads, each once."""
    found = {id(variable.handle): variable for function in functions for variable in function.variables}
    return list(found.values())
