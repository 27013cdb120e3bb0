"""Jobs have a priority and a budget, their heads take turns, and ended ones are found by when they ended."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Jobs of before have no bounds, and the priority that is everybody's."""
    op.add_column("jobs", sa.Column("priority", sa.Integer, nullable=False, server_default="0"))
    op.add_column("jobs", sa.Column("max_seconds", sa.Double))
    op.add_column("jobs", sa.Column("max_memory_mb", sa.Double))
    op.add_column("jobs", sa.Column("claimed", sa.Double))
    op.execute("UPDATE jobs SET claimed = started")
    op.create_index("jobs_by_turn", "jobs", ["head", "claimed"])
    op.create_index("jobs_by_end", "jobs", ["finished"])
