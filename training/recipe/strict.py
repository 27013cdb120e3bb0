"""What every part of a recipe is made of: immutable, without unknown keys, without silent conversions."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Width = Annotated[int, Field(ge=1, le=65_536)]
"""Units of a layer, filters of a convolution, pixels of a side."""
Rate = Annotated[float, Field(gt=0, le=10)]
"""A learning rate."""
Share = Annotated[float, Field(ge=0, lt=1)]
Name = Annotated[str, Field(min_length=1, max_length=255)]


class Strict(BaseModel):
    """Every part of a recipe."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
