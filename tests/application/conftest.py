"""What tests of the application share."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from batching_ward import Ward


@pytest.fixture
async def ward() -> AsyncIterator[Callable[..., Ward]]:
    made: list[Ward] = []

    def make(*arguments: Any, **options: Any) -> Ward:
        made.append(Ward(*arguments, **options))
        return made[-1]

    yield make
    for one in made:
        one.gate.open()
        one.lanes.close()
