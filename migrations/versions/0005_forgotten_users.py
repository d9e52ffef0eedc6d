"""Tombstones of forgotten users, and indexes by which impressions are deleted"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "forgotten_users",
        sa.Column("user_hash", sa.String(), primary_key=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_index("impressions_of_user", "impressions", ["user_id"])
    op.create_index("impressions_by_time", "impressions", ["at"])


def downgrade() -> None:
    op.drop_index("impressions_by_time", "impressions")
    op.drop_index("impressions_of_user", "impressions")
    op.drop_table("forgotten_users")
