"""What tests of several rooms share: servers of others, one a test process."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from postgres import Postgres, running_postgres


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    with running_postgres() as server:
        yield server
