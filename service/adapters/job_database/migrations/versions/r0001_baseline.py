"""The tables as they were before there were revisions."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Datasets, jobs and their events."""
    json = sa.JSON(none_as_null=True)
    op.create_table(
        "datasets",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("report", json, nullable=False),
        sa.Column("filename", sa.String(255), nullable=False),
        sa.Column("size_bytes", sa.BigInteger, nullable=False),
        sa.Column("created", sa.Double, nullable=False),
        sa.Column("options", json, nullable=False),
        sa.Column("file", sa.String(255), nullable=False),
    )
    op.create_table(
        "jobs",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("head", sa.String(64), nullable=False),
        sa.Column("base", sa.String(255), nullable=False),
        sa.Column("dataset", sa.String(64), nullable=False),
        sa.Column("asked_recipe", json, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("created", sa.Double, nullable=False),
        sa.Column("started", sa.Double),
        sa.Column("finished", sa.Double),
        sa.Column("phase", sa.String(64)),
        sa.Column("percent", sa.Double, nullable=False),
        sa.Column("eta_s", sa.Double),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("crashes", sa.Integer, nullable=False),
        sa.Column("reached", sa.Integer, nullable=False),
        sa.Column("not_before", sa.Double),
        sa.Column("cancel_requested", sa.Boolean, nullable=False),
        sa.Column("version", sa.Integer),
        sa.Column("metrics", json),
        sa.Column("gate", json),
        sa.Column("recipe", json),
        sa.Column("error", json),
        sa.Column("owner", sa.String(255)),
        sa.Column("heartbeat", sa.Double),
        sa.Column("last_seq", sa.Integer, nullable=False),
        sa.Column("idempotency_key", sa.String(255), unique=True),
    )
    op.create_index("jobs_by_state", "jobs", ["state", "created", "id"])
    op.create_index("jobs_by_age", "jobs", ["created", "id"])
    op.create_index("jobs_by_head", "jobs", ["head", "created", "id"])
    op.create_index("jobs_by_dataset", "jobs", ["dataset"])
    op.create_table(
        "events",
        sa.Column("job_id", sa.String(64), sa.ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("seq", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("type", sa.String(64), nullable=False),
        sa.Column("message", sa.String, nullable=False),
        sa.Column("time", sa.Double, nullable=False),
        sa.Column("data", json, nullable=False),
    )
