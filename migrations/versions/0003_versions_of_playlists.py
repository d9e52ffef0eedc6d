"""Versions of playlists, by which a process learns which lists changed; playlists by the items they hold"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("playlists", sa.Column("version", sa.BigInteger(), nullable=False, server_default="0"))
    with op.batch_alter_table("playlists") as batch_op:
        batch_op.alter_column("version", server_default=None)
        batch_op.create_index("playlists_by_version", ["version"])
    op.create_index("playlists_by_item", "playlist_items", ["item_id"])


def downgrade() -> None:
    op.drop_index("playlists_by_item", "playlist_items")
    with op.batch_alter_table("playlists") as batch_op:
        batch_op.drop_index("playlists_by_version")
        batch_op.drop_column("version")
