"""What becomes of a published version, as operators write it."""

from __future__ import annotations

import pytest

from service.domain.errors import InvalidInput
from service.domain.on_success import OnSuccess, Way


@pytest.mark.parametrize(
    ("text", "way", "percent", "shown"),
    [
        ("register", Way.REGISTER, 5.0, "register"),
        ("promote", Way.PROMOTE, 5.0, "promote"),
        ("canary", Way.CANARY, 5.0, "canary:5"),
        ("canary:10", Way.CANARY, 10.0, "canary:10"),
        ("canary:0.5", Way.CANARY, 0.5, "canary:0.5"),
    ],
)
def test_the_ways(text: str, way: Way, percent: float, shown: str) -> None:
    found = OnSuccess.read(text)
    assert (found.way, found.percent, str(found)) == (way, percent, shown)
    assert OnSuccess.read(shown) == found


@pytest.mark.parametrize(
    "text", ["", "Promote", "promote:5", "canary:", "canary:0", "canary:100", "canary:-1", "canary:nan", "canary:5%"]
)
def test_what_is_none_of_them_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        OnSuccess.read(text)
