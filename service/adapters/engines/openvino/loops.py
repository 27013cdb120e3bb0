"""Whether the values that a caller sends decide how long a loop of a signature goes on.

What depends on values is followed from the inputs through functions, branches and loops. A shape is no value: a loop
over the steps of a sequence takes as long as the sequence is, and one until a number that was sent is reached may go on
for ever.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from service.adapters.engines.saved_model_files import SavedModelFile

_INPUTS = frozenset(("Placeholder", "PlaceholderWithDefault"))
_SHAPES = frozenset(("Shape", "ShapeN", "Size", "Rank", "TensorListLength", "ZerosLike", "OnesLike"))
"""What these give does not depend on the values that they are given."""
_CALLS = frozenset(("PartitionedCall", "StatefulPartitionedCall"))
_BRANCHES = frozenset(("If", "StatelessIf"))
_WHILES = frozenset(("While", "StatelessWhile"))
_OLD_CONDITION = "LoopCond"
"""TensorFlow 1 makes its loops of single operations, this one among them."""
LOOPS = _WHILES | {_OLD_CONDITION}

Marks = tuple[bool, ...]
"""Of several tensors, which depend on values."""


def depend_on_values(file: SavedModelFile, signature: str) -> bool:
    """Raises: KeyError, there is no such signature."""
    if not file.ops(signature) & LOOPS:
        return False
    flow = _Flow(file)
    flow.through(file.nodes(signature), {})
    return flow.decides_a_loop


class _Flow:
    """Follows values. Marks are only ever added, so that going round a loop again and again comes to an end."""

    def __init__(self, file: SavedModelFile) -> None:
        self._functions = file.functions
        self._called: dict[tuple[str, Marks], Marks] = {}
        self.decides_a_loop = False

    def through(self, nodes: Sequence[Any], given: dict[str, Marks]) -> dict[str, Marks]:
        """The marks of what each node gives; ``given`` are those of a function's arguments."""
        marks = dict(given)
        before: dict[str, Marks] | None = None
        while marks != before:
            before = dict(marks)
            for node in nodes:
                marks[node.name] = self._of(node, [_mark(marks, name) for name in node.input if name[0] != "^"])
        return marks

    def _of(self, node: Any, inputs: Sequence[bool]) -> Marks:
        some = any(inputs)
        if node.op in _INPUTS:
            return (True,)
        if node.op in _SHAPES:
            return (False,)
        if node.op in _WHILES:
            return self._loop(node.attr["cond"].func.name, node.attr["body"].func.name, tuple(inputs))
        if node.op in _BRANCHES and not inputs[0]:
            branches = (node.attr[name].func.name for name in ("then_branch", "else_branch"))
            return _either(*(self._call(name, tuple(inputs[1:])) for name in branches))
        if node.op in _CALLS:
            return self._call(node.attr["f"].func.name, tuple(inputs))
        if node.op in self._functions:
            return self._call(node.op, tuple(inputs))
        self.decides_a_loop |= node.op == _OLD_CONDITION and some
        return (some,)

    def _loop(self, condition: str, body: str, variables: Marks) -> Marks:
        while (after := _either(variables, self._call(body, variables))) != variables:
            variables = after
        self.decides_a_loop |= any(self._call(condition, variables))
        return variables

    def _call(self, name: str, arguments: Marks) -> Marks:
        function = self._functions[name]
        outputs = [function.ret[output.name] for output in function.signature.output_arg]
        key = (name, arguments)
        if key not in self._called:
            self._called[key] = (False,) * len(outputs)
            names = [argument.name for argument in function.signature.input_arg]
            given: dict[str, Marks] = {named: (marked,) for named, marked in zip(names, arguments, strict=True)}
            marks = self.through(function.node_def, given)
            self._called[key] = tuple(_mark(marks, output) for output in outputs)
        return self._called[key]


def _mark(marks: dict[str, Marks], tensor: str) -> bool:
    """Of one tensor: ``node``, ``node:2``, or within a function ``node:output:2``."""
    node, _, rest = tensor.partition(":")
    found = marks.get(node, (False,))
    # What single operations give is all marked or none; calls, branches and loops give one list.
    return found[int(rest.rpartition(":")[2] or 0)] if len(found) > 1 else found[0] if found else False


def _either(one: Marks, other: Marks) -> Marks:
    return tuple(a or b for a, b in zip(one, other, strict=True))
