"""Jobs, their events and datasets in a database, through SQLAlchemy: SQLite as it comes, PostgreSQL by its URL.

Promises that every change is one transaction and that a claim is one statement, so that any number of threads and
processes may share the database. Knows no rule about jobs but the conditions it is told to hold a change to.
"""

from service.adapters.job_database.database import JobDatabase

__all__ = ["JobDatabase"]
