"""A base on its way to being published, wherever it comes from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.domain.artifact import InputKind, InputSpec
from training.export.base_model import BaseNetwork
from training.export.extras import GOLDEN_ROWS
from training.seeds import generator


@dataclass(slots=True)
class BaseModel:
    """A base with all that its publication needs."""

    network: BaseNetwork
    spec: InputSpec
    task: str
    labels: tuple[str, ...]
    """Of its own answer; empty for a base that has features only."""
    sample: NDArray[Any]
    """Inputs [n, ...] for the golden pair."""
    model: Any = None
    """The Keras model to transfer from; None where there is none."""
    pooling: str = "auto"
    """How the Keras model's layers became the cuts."""
    history: dict[str, Any] | None = None
    """Of its training, where it was trained here."""
    evaluated: dict[str, Any] = field(default_factory=dict)
    dataset: dict[str, Any] | None = None
    notes: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)


def drawn_sample(spec: InputSpec, seed: int) -> NDArray[Any]:
    """Inputs for the golden pair of a base that comes without data."""
    draw = generator(seed, "golden")
    shape = (GOLDEN_ROWS, *spec.shape)
    match spec.kind:
        case InputKind.IMAGE:
            return draw.uniform(0, 255, size=shape).astype(np.float32)
        case InputKind.TOKENS:
            # Small numbers: any vocabulary has them.
            return draw.integers(0, 2, size=shape).astype(np.int32)
        case InputKind.TEXT:
            words = np.array(["a", "the", "good", "bad", "one", "two", "is", "not"])
            drawn = [" ".join(draw.choice(words, size=1 + row)) for row in range(GOLDEN_ROWS)]
            return np.array([text.encode() for text in drawn], dtype=object)
        case _:
            return draw.normal(size=shape).astype(np.float32)
