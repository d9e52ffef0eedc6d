"""The cleaned texts of items, with the version of the cleaner; rows without one are cleaned when they are read"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("items", sa.Column("text", sa.String()))
    op.add_column("items", sa.Column("text_version", sa.Integer()))


def downgrade() -> None:
    op.drop_column("items", "text_version")
    op.drop_column("items", "text")
