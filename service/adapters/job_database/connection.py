"""Opening a database so that many threads and processes may write to it at once."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError

from service.domain.errors import InvalidInput, NotReady

BUSY_S = 10.0
"""How long a writer waits for the one before it."""
_WRITES = "graft_writes"


def opened(url: str) -> Engine:
    """An engine for the URL. No connection is made yet.

    Raises:
        InvalidInput: it is not a database URL, or one for which no driver is installed.
    """
    try:
        sqlite = make_url(url).get_backend_name() == "sqlite"
        engine = create_engine(url, pool_pre_ping=not sqlite)
    except (ArgumentError, ImportError) as error:
        raise InvalidInput(f"the job database cannot be opened by its URL: {error}") from error
    if sqlite:
        event.listen(engine, "connect", _set_up)
        event.listen(engine, "begin", _begin)
    return engine


@contextmanager
def transaction(engine: Engine, *, writes: bool = False) -> Iterator[Connection]:
    """One transaction, committed at the end of the block and rolled back if that raises.

    Raises:
        NotReady: the database does not answer, or is damaged.
        IntegrityError: what was written is there already.
    """
    try:
        with engine.connect() as connection, connection.execution_options(**{_WRITES: writes}).begin():
            yield connection
    except IntegrityError:
        raise
    except DBAPIError as error:
        raise NotReady(f"the job database does not answer: {error.orig}") from error


def _set_up(connection: Any, _: Any) -> None:
    # The driver's own transactions begin too late (with the first write, after what it was decided on was read), so
    # they are switched off, and begun by ``_begin``.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {int(BUSY_S * 1000)}")
    _switch_to_wal(cursor)
    cursor.execute("PRAGMA synchronous = NORMAL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()


def _switch_to_wal(cursor: Any) -> None:
    # The switch is made once in a database's life, needs it alone for a moment, and is the one statement that does not
    # heed the busy timeout: whoever comes second is told at once that the database is locked.
    give_up = time.monotonic() + BUSY_S
    while True:
        try:
            cursor.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError:
            if time.monotonic() > give_up:
                raise
            time.sleep(0.01)
        else:
            return


def _begin(connection: Connection) -> None:
    # A writer takes its turn before it reads; one that starts as a reader could not wait for its turn any more.
    writes = connection.get_execution_options().get(_WRITES)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
