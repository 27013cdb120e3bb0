"""Which values an input may have, read from the converted graph.

TensorFlow refuses an index beyond a table; OpenVINO answers it with zeros. So an integer input that is used as an index
gets the bound that TensorFlow would hold it to, which is checked before each run, and a graph that computes an index,
a divisor or a size from its inputs in any less plain way is left to TensorFlow.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

_INDICES: Mapping[str, int] = {
    "Gather": 1,
    "GatherND": 1,
    "GatherElements": 1,
    "ScatterNDUpdate": 1,
    "ScatterUpdate": 1,
}
_DIVISIONS = frozenset({"Divide", "Mod", "FloorMod"})
_SIZES: Mapping[str, tuple[int, ...]] = {
    "Broadcast": (1,), "Tile": (1,), "Range": (0, 1, 2), "Reshape": (1,), "OneHot": (1,), "Loop": (0, 1),
}  # fmt: skip
"""Inputs that decide how large a tensor is or how often something is done. A graph's loop may test more than these."""
_SAME_VALUES = frozenset({"Convert", "Reshape", "Squeeze", "Unsqueeze", "Transpose", "Identity"})
_SAFE = frozenset({"ShapeOf", "NonZero", "Constant"})
_BODIES = frozenset({"Loop", "TensorIterator"})


class Unbounded(Exception):
    """An input decides something that would have to be checked and is not."""


def bounds(model: Any) -> dict[str, int]:
    """By name of a parameter of ``model``: the number that its values must lie below, and not below 0.

    Raises:
        Unbounded
    """
    found: dict[str, int] = {}
    _look(model, {}, found)
    return found


class _Origins:
    """Where values come from, through the bodies of loops too. ``outer`` says what a body's parameters stand for."""

    def __init__(self, outer: Mapping[str, list[Any]]) -> None:
        self._outer = outer

    def parameters(self, output: Any) -> Iterator[tuple[Any, bool]]:
        """The model's own parameters that a value is computed from, each with whether it is that very value."""
        waiting, seen = [(output, True)], set()
        while waiting:
            here, plain = waiting.pop()
            node = here.get_node()
            mark = (node.get_friendly_name(), here.get_index(), plain)
            kind = node.get_type_name()
            if mark in seen or _is_harmless(kind, here):
                continue
            seen.add(mark)
            if kind == "Parameter":
                if node.get_friendly_name() not in self._outer:
                    yield node, plain
                waiting.extend((one, False) for one in self._outer.get(node.get_friendly_name(), ()))
                continue
            still = plain and kind in _SAME_VALUES
            several = range(1) if kind in _SAME_VALUES else range(node.get_input_size())
            waiting.extend((node.input_value(at), still) for at in several)


def _is_harmless(kind: str, output: Any) -> bool:
    """Whether a value cannot be beyond what it is used for, whatever the request: it follows from shapes, was there
    before, is a place in the order of what was sorted, or is true or false.
    """
    is_truth = output.get_element_type().get_type_name() == "boolean"
    return is_truth or kind in _SAFE or (kind == "TopK" and output.get_index() == 1)


def _look(model: Any, outer: Mapping[str, list[Any]], found: dict[str, int]) -> None:
    origins = _Origins(outer)
    for node in model.get_ordered_ops():
        kind = node.get_type_name()
        if kind in _INDICES:
            _bound(node, kind, origins, found, inside=bool(outer))
        if kind in _DIVISIONS and node.get_output_element_type(0).is_integral():
            _refuse_parameters(origins, node, (1,), "is divided by")
        _refuse_parameters(origins, node, _SIZES.get(kind, ()), "decides how much is computed")
        if kind in _BODIES:
            _refuse_parameters(origins, node, range(node.get_input_size()), "goes through a loop", whole=True)
            body = node.get_function()
            _look(body, {**outer, **_stand_for(node, body)}, found)
        elif kind == "If":
            for number in (0, 1):
                body = node.get_function(number)
                _look(body, {**outer, **_branch(node, number, body)}, found)


def _bound(node: Any, kind: str, origins: _Origins, found: dict[str, int], *, inside: bool) -> None:
    for parameter, plain in origins.parameters(node.input_value(_INDICES[kind])):
        rows = _rows(node) if kind == "Gather" and plain and not inside else None
        if rows is None or not parameter.get_output_element_type(0).is_integral():
            raise Unbounded(f"input {parameter.get_friendly_name()!r} decides an index that would not be checked")
        name = parameter.get_friendly_name()
        found[name] = min(rows, found.get(name, rows))


def _rows(node: Any) -> int | None:
    """How many entries there are to choose from, if the graph says."""
    axis, table = node.input_value(2).get_node(), node.input_value(0).get_partial_shape()
    if axis.get_type_name() != "Constant" or table.rank.is_dynamic:
        return None
    size = table[int(axis.get_data().ravel()[0])]
    return int(size.get_length()) if size.is_static else None


def _refuse_parameters(origins: _Origins, node: Any, inputs: Any, what: str, *, whole: bool = False) -> None:
    for at in inputs:
        for parameter, _ in origins.parameters(node.input_value(at)):
            if not whole or parameter.get_output_element_type(0).is_integral():
                raise Unbounded(f"input {parameter.get_friendly_name()!r} {what}")


def _stand_for(node: Any, body: Any) -> dict[str, list[Any]]:
    """What a loop's body is given: values from outside, and what its last round left."""
    parameters, results = body.get_parameters(), body.get_results()
    found: dict[str, list[Any]] = {}
    for one in node.get_input_descriptions():
        given = [node.input_value(one.input_index)]
        if hasattr(one, "body_value_index"):
            given.append(results[one.body_value_index].input_value(0))
        found[parameters[one.body_parameter_index].get_friendly_name()] = given
    return {name.get_friendly_name(): found.get(name.get_friendly_name(), []) for name in parameters}


def _branch(node: Any, number: int, body: Any) -> dict[str, list[Any]]:
    parameters = body.get_parameters()
    found = {
        parameters[one.body_parameter_index].get_friendly_name(): [node.input_value(one.input_index)]
        for one in node.get_input_descriptions(number)
    }
    return {one.get_friendly_name(): found.get(one.get_friendly_name(), []) for one in parameters}
