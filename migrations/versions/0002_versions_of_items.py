"""Versions of items, by which a process learns what others changed; numbers of events are not given again"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("items", sa.Column("version", sa.BigInteger(), nullable=False, server_default="0"))
    with op.batch_alter_table("items") as batch_op:
        batch_op.alter_column("version", server_default=None)
        batch_op.create_index("items_by_version", ["version"])
    if op.get_bind().dialect.name == "sqlite":
        kwargs = {"sqlite_autoincrement": True}
        with op.batch_alter_table("events", recreate="always", table_kwargs=kwargs):
            pass  # copies the table into one that counts for life


def downgrade() -> None:
    with op.batch_alter_table("items") as batch_op:
        batch_op.drop_index("items_by_version")
        batch_op.drop_column("version")
