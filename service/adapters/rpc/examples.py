"""The input of classify, regress and multi-inference: examples, with or without a context that all of them share."""

from __future__ import annotations

from typing import Any

import numpy as np

from service.domain.errors import InvalidInput
from service.domain.tensors import Array


def serialized(given: Any) -> Array:
    """Each example of an ``Input``, serialized. A context goes in front of each: what both have is the example's.

    Raises:
        InvalidInput: there is none.
    """
    context = b""
    examples = given.example_list.examples
    if given.WhichOneof("kind") == "example_list_with_context":
        examples = given.example_list_with_context.examples
        context = given.example_list_with_context.context.SerializeToString()
    if not examples:
        raise InvalidInput("Input is empty.")
    rows = np.empty(len(examples), dtype=object)
    rows[:] = [context + example.SerializeToString() for example in examples]
    return rows
