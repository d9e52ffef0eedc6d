"""At most one active bundle; of several, the one activated last stays and the others are retired"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

IS_ACTIVE = sa.text("state = 'active'")


def upgrade() -> None:
    op.execute(
        "UPDATE bundles SET state = 'retired' WHERE state = 'active' AND number <> (SELECT number FROM bundles "
        "WHERE state = 'active' ORDER BY activated DESC NULLS LAST, number DESC LIMIT 1)"
    )
    op.create_index(
        "one_active_bundle", "bundles", ["state"], unique=True, sqlite_where=IS_ACTIVE, postgresql_where=IS_ACTIVE
    )


def downgrade() -> None:
    op.drop_index("one_active_bundle", "bundles")
