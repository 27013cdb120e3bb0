"""What Alembic runs to migrate: over the connection, and in the transaction, that ``schema`` has opened."""

from alembic import context

from service.adapters.job_database.tables import METADATA

context.configure(connection=context.config.attributes["connection"], target_metadata=METADATA)
context.run_migrations()
