"""The migrations make the tables that the code expects, on both databases."""

from importlib.resources import files

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.exc import IntegrityError

from recsys.errors import NotReady
from recsys.store import Store
from recsys.store.records import EventDraft, ItemDraft
from recsys.store.sessions import connect, newest_revision, upgrade
from recsys.store.tables import metadata


def test_there_is_one_head_and_files_are_numbered_up_to_it() -> None:
    config = Config()
    config.set_main_option("script_location", str(files("migrations")))
    assert ScriptDirectory.from_config(config).get_heads() == [newest_revision()]


def test_tables_of_another_version_are_refused_with_the_way_out(empty_url: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(files("migrations")))
    config.attributes["url"] = empty_url
    command.upgrade(config, "0001")
    with pytest.raises(NotReady, match=r"at revision 0001, this version needs .*: run `recsys db upgrade`"):
        Store.open(empty_url)
    upgrade(empty_url)
    engine = connect(empty_url)
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    engine.dispose()
    for action in (Store.open, upgrade):
        with pytest.raises(NotReady, match=r"revision .*9999.*: upgrade this installation"):
            action(empty_url)


def test_the_migrated_tables_are_those_of_the_code(empty_url: str) -> None:
    upgrade(empty_url)
    upgrade(empty_url)  # again changes nothing
    engine = connect(empty_url)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    engine.dispose()


def test_what_an_older_version_stored_stays(empty_url: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(files("migrations")))
    config.attributes["url"] = empty_url
    command.upgrade(config, "0001")
    engine = connect(empty_url)
    with engine.begin() as connection:
        for statement in (
            "INSERT INTO items (item_id, attributes, active, content_hash, created, updated) "
            "VALUES ('a', '{}', true, 'h', '2026-01-01', '2026-01-01')",
            "INSERT INTO users VALUES ('u', '2026-01-01')",
            "INSERT INTO events (event_id, user_id, item_id, kind, weight) VALUES ('e', 'u', 'a', 'view', 1)",
        ):
            connection.exec_driver_sql(statement)
    engine.dispose()
    upgrade(empty_url)
    store = Store.open(empty_url)
    assert [event.event_id for event in store.recent_events("u", limit=10)] == ["e"]
    assert [item.item_id for item in store.items_since(-1)] == ["a"]
    store.put_items([ItemDraft(item_id="b")])
    assert [event.item_id for event in store.add_events([EventDraft(user_id="u", item_id="b")])] == ["b"]
    store.close()
    command.downgrade(config, "0001")
    command.upgrade(config, "head")


def test_of_several_active_bundles_the_one_activated_last_stays(empty_url: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(files("migrations")))
    config.attributes["url"] = empty_url
    command.upgrade(config, "0003")
    engine = connect(empty_url)
    with engine.begin() as connection:
        for uri, state, activated in (
            ("never", "active", "NULL"),
            ("before", "retired", "'2026-01-01'"),
            ("last", "active", "'2026-01-04'"),
            ("first", "active", "'2026-01-02'"),
            ("new", "staged", "NULL"),
        ):
            connection.exec_driver_sql(
                "INSERT INTO bundles (uri, manifest, state, created, activated) "
                f"VALUES ('{uri}', '{{}}', '{state}', '2026-01-01', {activated})"
            )
    upgrade(empty_url)
    store = Store.open(empty_url)
    states = {bundle.uri: bundle.state for bundle in store.bundles()}
    assert states == {"never": "retired", "before": "retired", "last": "active", "first": "retired", "new": "staged"}
    assert store.rollback_bundle().uri == "first"
    store.close()
    with pytest.raises(IntegrityError), engine.begin() as connection:
        connection.exec_driver_sql("UPDATE bundles SET state = 'active'")
    engine.dispose()
