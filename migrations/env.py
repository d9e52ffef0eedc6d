"""Runs the migrations on the database whose URL the caller put into the configuration."""

from alembic import context
from sqlalchemy import create_engine

from recsys.store.tables import metadata

engine = create_engine(context.config.attributes["url"], hide_parameters=True)
try:
    with engine.connect() as connection:
        context.configure(connection=connection, target_metadata=metadata, render_as_batch=True)
        with context.begin_transaction():
            context.run_migrations()
finally:
    engine.dispose()
