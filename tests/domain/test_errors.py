"""The tree of errors, and every door's table against it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from service.adapters.rest import errors as rest
from service.adapters.rpc import errors as rpc
from service.domain import errors
from service.domain.errors import KINDS, InvalidInput, Overloaded, ServiceError, code_of, kind_of


@pytest.mark.parametrize("table", [rest.STATUS, rpc.STATUS], ids=["rest", "grpc"])
def test_every_door_has_an_answer_for_every_kind_of_error_and_for_nothing_else(table: Mapping[Any, Any]) -> None:
    assert set(table) == set(KINDS)


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    drawn = [line.split()[1] for line in (errors.__doc__ or "").splitlines() if "──" in line]
    assert drawn == [kind.__name__ for kind in KINDS]


def test_codes_for_machines_follow_from_the_names_of_the_kinds() -> None:
    assert code_of(InvalidInput("no")) == "invalid_input"
    assert code_of(errors.UploadTooLarge("no")) == "upload_too_large"
    assert code_of(errors.NoRoom("no")) == "no_room"


def test_a_narrower_error_counts_as_the_kind_it_inherits_from() -> None:
    class Narrow(InvalidInput):
        pass

    assert kind_of(Narrow("no")) is InvalidInput


def test_an_error_of_no_kind_is_the_base_itself() -> None:
    assert kind_of(ServiceError("?")) is ServiceError


def test_overload_says_when_to_try_again() -> None:
    assert rest.headers_of(Overloaded("full", retry_after_s=2.6)) == {"retry-after": "3"}
    assert rest.headers_of(Overloaded("full", retry_after_s=0.01)) == {"retry-after": "1"}
    assert rest.headers_of(errors.NotReady("soon")) == {"retry-after": "1"}
    assert rest.headers_of(InvalidInput("never")) == {}
