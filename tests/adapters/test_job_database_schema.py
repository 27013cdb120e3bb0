"""Opening a database: a new one, one of before, one of later, one that is none; over SQLite and PostgreSQL."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, text

from service.adapters.job_database import JobDatabase, schema
from service.adapters.job_database.connection import opened, transaction
from service.adapters.job_database.tables import METADATA
from service.domain.errors import InvalidInput, NotReady
from service.domain.jobs import JobState

MIGRATIONS = Path(schema.__file__).parent / "migrations"


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/jobs.db"
    return str(request.getfixturevalue("postgres").database())


def differences(connection: Connection) -> list[object]:
    options = {"compare_type": True, "compare_server_default": True}
    return list(compare_metadata(MigrationContext.configure(connection, opts=options), METADATA))


def of_before(url: str) -> None:
    """A database as it was before there were revisions, with a job at work in it: r0001's tables and no word of it."""
    engine = opened(url)
    with transaction(engine, writes=True) as connection:
        schema._migrate(connection, None, "0001")
        connection.execute(text("DROP TABLE alembic_version"))
        connection.execute(
            text(
                "INSERT INTO jobs (id, head, base, dataset, asked_recipe, state, created, started, percent, attempt,"
                " crashes, reached, cancel_requested, last_seq) VALUES ('job-1', 'flowers', 'iris', 'ds-1', '{}',"
                " 'running', 1.0, 2.0, 0, 1, 0, 0, false, 0)"
            )
        )
    engine.dispose()


def test_a_new_database_has_the_tables_that_the_program_knows(url: str) -> None:
    JobDatabase(url).close()
    engine = opened(url)
    with transaction(engine) as connection:
        assert differences(connection) == []
        indexes = {index["name"] for name in METADATA.tables for index in inspect(connection).get_indexes(name)}
        assert {index.name for table in METADATA.sorted_tables for index in table.indexes} <= indexes
    engine.dispose()


def test_the_newest_revision_is_the_programs_and_there_is_one_line_of_them() -> None:
    script = ScriptDirectory(str(MIGRATIONS))
    assert script.get_heads() == [schema.NEWEST]
    assert script.get_base() == schema.BASELINE


def test_a_database_of_before_is_taken_over_with_its_jobs(url: str) -> None:
    of_before(url)
    for _ in range(2):
        store = JobDatabase(url)
        job = store.job("job-1")
        assert (job.state, job.started, job.request.priority, job.request.budget.max_seconds) == (
            JobState.RUNNING,
            2.0,
            0,
            None,
        )
        store.close()
    engine = opened(url)
    with transaction(engine) as connection:
        assert differences(connection) == []
    engine.dispose()


def test_a_database_of_a_newer_graft_is_refused_and_left_alone(url: str) -> None:
    JobDatabase(url).close()
    engine = opened(url)
    with transaction(engine, writes=True) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(OSError, match=r"a newer Graft .* 9999"):
        JobDatabase(url)
    with transaction(engine) as connection:
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalar() == "9999"
    engine.dispose()


def test_a_migration_that_fails_leaves_what_was_there(url: str) -> None:
    of_before(url)
    engine = opened(url)
    with transaction(engine, writes=True) as connection:  # as somebody's own index of the name that the revision takes
        connection.execute(text("CREATE INDEX jobs_by_end ON jobs (finished)"))
    with pytest.raises(OSError, match="jobs_by_end"):
        JobDatabase(url)
    with transaction(engine, writes=True) as connection:
        assert "priority" not in {column["name"] for column in inspect(connection).get_columns("jobs")}
        assert "alembic_version" not in inspect(connection).get_table_names()
        connection.execute(text("DROP INDEX jobs_by_end"))
    engine.dispose()
    JobDatabase(url).close()


def test_an_up_to_date_database_is_opened_without_alembic(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/jobs.db"
    JobDatabase(url).close()
    program = (
        "import sys; from service.adapters.job_database import JobDatabase\n"
        f"JobDatabase({url!r}).close(); print('alembic' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, check=True).stdout == b"False\n"


@pytest.mark.parametrize(
    "url",
    ["not a url", "oracle+nothing://x", "mysql://x/y", "sqlite://", "sqlite:///:memory:", "postgresql://x:port/y"],
)
def test_a_url_that_is_no_place_for_jobs_is_refused(url: str) -> None:
    with pytest.raises(InvalidInput):
        JobDatabase(url)


def test_a_server_that_is_not_there_is_said_not_to_answer_and_its_password_is_not_said() -> None:
    with pytest.raises(NotReady, match=r"cannot be used: .*does not answer") as refused:
        JobDatabase("postgresql://graft:geheim@127.0.0.1:1/graft")
    assert "geheim" not in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_file_that_cannot_be_is_said_not_to_answer(tmp_path: Path) -> None:
    with pytest.raises(NotReady, match="unable to open"):
        JobDatabase(f"sqlite:///{tmp_path}/no/such/directory/jobs.db")


def test_a_damaged_database_is_said_not_to_answer_and_later_to_be_unusable(tmp_path: Path) -> None:
    store = JobDatabase(f"sqlite:///{tmp_path}/jobs.db")
    store.close()
    for file in tmp_path.glob("jobs.db*"):
        file.write_bytes(b"\xa5" * 20_000)
    for call in (store.datasets, lambda: store.claim("me", 0.0)):
        with pytest.raises(NotReady):
            call()
    with pytest.raises(OSError, match=rf"{tmp_path}/jobs\.db cannot be used.*move it away") as refused:
        JobDatabase(f"sqlite:///{tmp_path}/jobs.db")
    assert isinstance(refused.value, NotReady)
    assert "\n" not in str(refused.value)


def test_a_database_of_another_version_is_refused_with_what_it_lacks(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    JobDatabase(f"sqlite:///{path}").close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("ALTER TABLE jobs DROP COLUMN eta_s")
    with pytest.raises(OSError, match=r"another version of Graft and has no jobs\.eta_s; restore it"):
        JobDatabase(f"sqlite:///{path}")
