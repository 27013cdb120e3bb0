"""Which engine answers a signature, why it was taken, and how far its answers lie from TensorFlow's."""

from __future__ import annotations

import sys
from dataclasses import dataclass

TENSORFLOW = "tensorflow"
OPENVINO = "openvino"
F32 = "f32"
PRECISIONS = (F32, "bf16", "int8")
TOLERANCE = 1e-3
"""How far two engines' answers in f32 may lie apart, as a share of the outputs' spread: ten times what is measured for
deep networks, a thousandth of what a wrong answer differs by."""

_NOTICEABLE, _AGREED = 0.1, 0.99
"""From a difference, or below a share of rows with the same largest output, of which a precision is warned of."""


@dataclass(frozen=True, slots=True)
class EngineChoice:
    """What runs one signature of a graph."""

    engine: str
    reason: str
    precision: str = F32
    difference: float | None = None
    """The largest difference from TensorFlow's answers that was seen, as a share of their spread."""
    agreement: float | None = None
    """The share of rows whose largest output is the same, where there are outputs [rows, classes] to look at."""

    steady: bool = False
    """Whether how long a run takes follows from its shapes alone: no loop, and no size, that the data decide."""

    @property
    def rough(self) -> bool:
        """Whether its answers differ from TensorFlow's by so much that users may notice."""
        return (self.difference or 0.0) > _NOTICEABLE or (1.0 if self.agreement is None else self.agreement) < _AGREED

    @property
    def tolerance(self) -> float:
        """How far an answer may lie from what was published. A precision that was asked for is not refused for its
        rounding, which is shown; no number at all still is.
        """
        return TOLERANCE if self.precision == F32 else sys.float_info.max

    def __str__(self) -> str:
        measured = "" if self.difference is None else f", {self.difference:.1e} of the spread from TensorFlow's answers"
        agreed = "" if self.agreement is None or self.precision == F32 else f", top-1 the same in {self.agreement:.0%}"
        return f"{self.engine} {self.precision}{measured}{agreed}: {self.reason}"
