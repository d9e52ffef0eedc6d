"""Sessions of events, and items that are not available for now"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("events", sa.Column("session_id", sa.String()))
    op.add_column("items", sa.Column("available", sa.Boolean(), nullable=False, server_default=sa.true()))
    with op.batch_alter_table("items") as batch_op:
        batch_op.alter_column("available", server_default=None)


def downgrade() -> None:
    op.drop_column("items", "available")
    op.drop_column("events", "session_id")
