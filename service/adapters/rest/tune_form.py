"""The form that uploads data and asks for a job: a job's order, field by field, beside the file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from service.adapters.rest.datasets import DATA_FIELDS, OPTIONS
from service.adapters.rest.orders import JobOrder, read_json, read_shape
from service.domain.errors import InvalidInput

_TEXTS = ("head", "on_success")
_AS_JSON = ("recipe", "priority", "budget", "require_new", "provisional")
KNOWN = ("format", *OPTIONS, *_TEXTS, *_AS_JSON)
"""What the form may have beside its file."""


def fields() -> dict[str, Any]:
    """The form's fields as the API's description has them: a job's, where JSON is written as text."""
    described = JobOrder.model_json_schema()["properties"]
    return {**DATA_FIELDS, **{name: described[name] for name in (*_TEXTS, *_AS_JSON)}}


def order_in(fields: Mapping[str, str], base: str) -> JobOrder:
    """The order in a form, without its dataset, which is the file. A field that is left empty is left out.

    Raises:
        InvalidInput: one of them is not what it ought to be.
    """
    raw: dict[str, Any] = {name: fields[name] for name in _TEXTS if fields.get(name)}
    raw |= {name: read_json(fields[name], f"the field {name!r}") for name in _AS_JSON if fields.get(name)}
    if "head" not in raw:
        raise InvalidInput("the form has no field 'head'")
    return read_shape(JobOrder, {**raw, "base": base, "dataset": ""}, "the form")
