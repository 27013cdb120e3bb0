"""The database's tables, brought to what this program knows: made, migrated, or refused with words.

Whoever opens a database does this, one at a time. In a database that is up to date it is one small question, and
Alembic is not even imported.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import Connection, Engine, inspect, text

from service.adapters.job_database.connection import transaction
from service.adapters.job_database.tables import METADATA
from service.domain.errors import NotReady

NEWEST = "0005"
"""The revision this program is written for."""
BASELINE = "0001"
"""What a database is that was made before there were revisions."""
_MIGRATIONS = Path(__file__).parent / "migrations"
_TURN = 0x67726166
"""PostgreSQL's advisory locks are named by a number; this one is held while migrating."""


class Misfit(NotReady):
    """The database's tables are not this program's, and cannot become so."""


def brought_up_to_date(engine: Engine) -> None:
    """Make the tables there ought to be, all of them or none, while nobody else does.

    Raises:
        Misfit: it was written by a newer Graft, or has lost columns; what is wrong, in words.
        NotReady: it does not answer, or is damaged.
    """
    with transaction(engine, writes=True) as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:turn)"), {"turn": _TURN})
        present = _revision(connection)
        if present != NEWEST:
            _migrate(connection, present)
        if missing := _missing_columns(connection):
            raise Misfit(f"it is of another version of Graft and has no {', '.join(missing)}")


def _revision(connection: Connection) -> str | None:
    """Where the database is; None when it is empty, the baseline when it has tables and no revision."""
    tables = inspect(connection).get_table_names()
    if "alembic_version" in tables:
        return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return BASELINE if METADATA.tables.keys() & set(tables) else None


def _migrate(connection: Connection, present: str | None, to: str = NEWEST) -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    known = [revision.revision for revision in ScriptDirectory.from_config(config).walk_revisions()]
    if present is not None and present not in known:
        raise Misfit(f"a newer Graft has worked with it (its tables are at {present}, this one knows {NEWEST})")
    if present == BASELINE:
        command.stamp(config, BASELINE)
    command.upgrade(config, to)


def _missing_columns(connection: Connection) -> Sequence[str]:
    found = inspect(connection).get_multi_columns()
    there = {f"{table}.{column['name']}" for (_, table), columns in found.items() for column in columns}
    wanted = [f"{table.name}.{name}" for table in METADATA.sorted_tables for name in sorted(table.columns.keys())]
    return [name for name in wanted if name not in there]
