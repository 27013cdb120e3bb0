"""What the tuning API takes, as JSON: read strictly, with every wrong key named, and the one that may be meant."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from service.domain.budget import Budget
from service.domain.errors import InvalidInput
from service.domain.jobs import JobRequest

Shape = TypeVar("Shape", bound=BaseModel)


class JobOrder(BaseModel):
    """What to tune: a new version of a head, on a base, from a dataset."""

    model_config = ConfigDict(extra="forbid", strict=True)

    head: str = Field(description="The head's name; a new one, or one to be given a next version")
    base: str = Field(description="The base it grows on; its newest live version is taken")
    dataset: str = Field(description="A dataset's id")
    recipe: dict[str, Any] = Field(default_factory=dict, description="How to tune; what is left out is chosen by data")
    priority: int = Field(default=0, description="From -100 to 100; the higher go first, then heads take turns")
    budget: dict[Literal["max_seconds", "max_memory_mb"], float] = Field(
        default_factory=dict,
        description="What it may cost, else it fails with the code budget_exceeded: seconds from when it first leaves"
        " the queue, MiB resident in all its trainer's processes",
    )
    on_success: str = Field(
        default="promote", description="What becomes of the version: promote, register, canary or canary:PERCENT"
    )
    require_new: bool = Field(default=False, description="Train even if a job has made just this, and it is there")
    provisional: bool = Field(
        default=False,
        description="Of a new head: let version 0, made of the means of its classes' features and judged by no gate,"
        " answer at once and until the job has ended",
    )

    def request(self) -> JobRequest:
        """Raises: InvalidInput, the budget is none."""
        budget = Budget(self.budget.get("max_seconds"), self.budget.get("max_memory_mb"))
        return JobRequest(self.head, self.base, self.dataset, self.recipe, self.priority, budget, self.on_success)


def read_order(shape: type[Shape], body: bytes) -> Shape:
    """A JSON object of a shape. Raises: InvalidInput, naming every key that is wrong, and the one that may be meant."""
    raw = read_json(body, "the body")
    if not isinstance(raw, dict):
        raise InvalidInput("the body has to be a JSON object")
    return read_shape(shape, raw)


def read_shape(shape: type[Shape], raw: Mapping[str, Any], what: str = "the body") -> Shape:
    """What was read as a shape. Raises: InvalidInput, as ``read_order``."""
    if unknown := [key for key in raw if key not in shape.model_fields]:
        raise InvalidInput("; ".join(_unknown(key, shape.model_fields) for key in unknown[:10]))
    try:
        return shape.model_validate(raw)
    except ValidationError as error:
        wrong = [f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors()]
        raise InvalidInput(f"{what} cannot be used: {'; '.join(wrong)}") from error


def read_json(text: bytes | str, what: str) -> Any:
    """Raises: InvalidInput, it is not JSON as the standard has it."""
    try:
        return json.loads(text, parse_constant=_refused_constant)
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"{what} is not JSON: {error}") from error


def _unknown(key: str, known: Mapping[str, Any]) -> str:
    close = difflib.get_close_matches(key[:80], list(known), 1)
    return f"unknown key {key[:80]!r}" + (f"; did you mean {close[0]!r}?" if close else "")


def _refused_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON number")
