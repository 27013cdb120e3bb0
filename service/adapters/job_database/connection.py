"""Opening a database so that many threads and processes may write to it at once."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DataError, DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from service.domain.errors import InvalidInput, NotReady

BUSY_S = 10.0
"""How long a writer waits for the one before it."""
_WRITES = "graft_writes"


def opened(url: str) -> Engine:
    """An engine for the URL. No connection is made yet.

    Raises:
        InvalidInput: it is not the URL of a database that can hold jobs, or its driver is not installed.
    """
    try:
        place = make_url(url)
        match place.get_backend_name():
            case "sqlite":
                return _sqlite(place)
            case "postgresql" | "postgres":
                return _postgresql(place)
    except (ArgumentError, ImportError, ValueError) as error:
        raise InvalidInput(f"the job database cannot be opened by its URL: {error}") from error
    raise InvalidInput(f"jobs are kept in SQLite or PostgreSQL, and not in {place.get_backend_name()[:40]}")


def _sqlite(place: URL) -> Engine:
    if place.database in (None, "", ":memory:"):
        raise InvalidInput("a database in memory forgets its jobs; give sqlite:////path/of/a/file")
    engine = create_engine(place)
    event.listen(engine, "connect", _set_up)
    event.listen(engine, "begin", _begin)
    return engine


def _postgresql(place: URL) -> Engine:
    if "+" not in place.drivername:
        place = place.set(drivername="postgresql+psycopg")
    if place.drivername == "postgresql+psycopg" and find_spec("psycopg") is None:
        raise InvalidInput("PostgreSQL needs a driver that is not installed; install graft[postgres]")
    # A server that is cut off without a word is noticed, and a lock that is not given up is not waited for, as long as
    # a writer waits for another in SQLite. What the URL says wins.
    waits = {
        "connect_timeout": int(BUSY_S),
        "keepalives_idle": int(BUSY_S),
        "tcp_user_timeout": int(BUSY_S * 1000),
        "application_name": "graft",
        "options": f"-c lock_timeout={int(BUSY_S * 1000)}",
    }
    waits = {name: value for name, value in waits.items() if name not in place.query}
    # A connection that was lost meanwhile is seen before it is used, and all the others are thrown away with it.
    return create_engine(place, pool_pre_ping=True, connect_args=waits)


@contextmanager
def transaction(engine: Engine, *, writes: bool = False) -> Iterator[Connection]:
    """One transaction, committed at the end of the block and rolled back if that raises.

    Raises:
        NotReady: the database does not answer, or is damaged. If it was lost at the very end, what was written may be
            there all the same.
        InvalidInput: what was to be written is nothing that it can hold.
        IntegrityError: what was written is there already.
    """
    try:
        with engine.connect() as connection, connection.execution_options(**{_WRITES: writes}).begin():
            yield connection
    except IntegrityError:
        raise
    except DataError as error:
        raise InvalidInput(f"the job database cannot hold this: {_line(error.orig)}") from error
    except DBAPIError as error:
        raise NotReady(f"the job database does not answer: {_line(error.orig)}") from error
    except PoolTimeout as error:
        raise NotReady("the job database does not answer: all connections to it are in use") from error


def _line(error: object) -> str:
    return " ".join(str(error).split())


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
