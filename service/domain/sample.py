"""Some items of labelled data as a base takes them: what the check of the data hands over when it is asked to.

The check has decoded every item anyway, in a process of its own; whoever reads this decodes nothing. It is read as
strictly as what comes from outside: a check that a crafted image has taken over is somebody else's program.

One line of JSON, ``{"labels": [...], "shape": [n, ...], "type": "<f4"}``, then the numbers as they lie in memory; texts
are in the line themselves.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from service.domain.artifact import InputKind, InputSpec
from service.domain.errors import InvalidInput
from service.domain.tensors import Array

MOST_ITEMS = 512
MOST_BYTES = 64 * 2**20
_TYPES = {"uint8": "<u1", "float32": "<f4", "int32": "<i4"}
"""Decoded pictures are whole numbers on 0..255, at a quarter of the size."""


@dataclass(frozen=True, slots=True)
class SampleWish:
    """Where a sample is to be written, and what the base takes."""

    into: Path
    spec: InputSpec

    def to_json(self) -> str:
        """As a command's argument."""
        return json.dumps({"into": str(self.into), "spec": asdict(self.spec)})

    @classmethod
    def from_json(cls, text: str) -> SampleWish:
        """The inverse. Raises: ValueError, KeyError, TypeError: it is none."""
        raw = json.loads(text)
        spec = raw["spec"]
        shape, columns = tuple(map(int, spec["shape"])), tuple(map(str, spec["columns"]))
        return cls(Path(raw["into"]), InputSpec(InputKind(spec["kind"]), shape, str(spec["name"]), columns))


@dataclass(frozen=True, slots=True)
class Sample:
    """Inputs [n, ...], bytes in an array of objects for texts, and the class of each."""

    labels: tuple[str, ...]
    inputs: Array

    def to_bytes(self) -> bytes:
        """As a file."""
        line: dict[str, Any] = {"labels": list(self.labels), "shape": list(self.inputs.shape)}
        if self.inputs.dtype == object:
            line["texts"] = [bytes(text).decode() for text in self.inputs]
            return json.dumps(line).encode() + b"\n"
        line["type"] = _TYPES[str(self.inputs.dtype)]
        return json.dumps(line).encode() + b"\n" + np.ascontiguousarray(self.inputs, line["type"]).tobytes()

    @classmethod
    def from_bytes(cls, data: bytes, spec: InputSpec) -> Sample:
        """The inverse, in the type that the base takes.

        Raises:
            InvalidInput: it is none, or not for a base that takes ``spec``.
        """
        head, _, rest = data.partition(b"\n")
        try:
            line = json.loads(head)
            labels, shape = line["labels"], line["shape"]
            if not all(type(label) is str for label in labels) or shape != [len(labels), *spec.shape]:
                raise InvalidInput(f"a sample of {len(labels)} labels is not of shape {shape}")
            if spec.kind is InputKind.TEXT:
                texts = [text.encode() for text in line["texts"]]
                inputs: Array = np.empty(len(labels), dtype=object)
                inputs[:] = texts
            else:
                inputs = np.frombuffer(rest, _known(line["type"])).reshape(shape).astype(spec.dtype)
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
            raise InvalidInput(f"a sample of the data cannot be read: {error!r}") from error
        return cls(tuple(labels), inputs)


def _known(name: str) -> str:
    if name not in _TYPES.values():
        raise ValueError(f"{name!r} is no type of numbers here")
    return name
