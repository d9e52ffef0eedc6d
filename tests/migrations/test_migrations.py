"""The migrations make the tables that the code expects, on both databases."""

from importlib.resources import files

from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from recsys.store.sessions import connect, upgrade
from recsys.store.tables import metadata


def test_there_is_one_head() -> None:
    config = Config()
    config.set_main_option("script_location", str(files("migrations")))
    assert len(ScriptDirectory.from_config(config).get_heads()) == 1


def test_the_migrated_tables_are_those_of_the_code(empty_url: str) -> None:
    upgrade(empty_url)
    upgrade(empty_url)  # again changes nothing
    engine = connect(empty_url)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    engine.dispose()
