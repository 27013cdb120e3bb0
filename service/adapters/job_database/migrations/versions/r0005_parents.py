"""A dataset may have been made of another one and more of its kind."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Datasets of before are their own beginning."""
    op.add_column("datasets", sa.Column("parent", sa.String(64)))
