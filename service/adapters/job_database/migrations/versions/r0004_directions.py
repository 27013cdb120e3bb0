"""Which version of a model answers whom, and what becomes of a version that a job has published."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Nobody has said anything yet, and what was asked for before goes live as it did."""
    op.create_table(
        "directions",
        sa.Column("model", sa.String(255), primary_key=True),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("value", sa.JSON(none_as_null=True), nullable=False),
    )
    op.add_column("jobs", sa.Column("on_success", sa.String(32), nullable=False, server_default="promote"))
