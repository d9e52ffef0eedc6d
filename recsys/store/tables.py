"""The tables: the only truth, from which everything else can be rebuilt."""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    DateTime,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    text,
)
from sqlalchemy import Column as C  # noqa: N817  (short on purpose: it stands on every line)

metadata = MetaData()
Number = BigInteger().with_variant(Integer, "sqlite")  # SQLite counts up only plain integers
Instant = DateTime(timezone=True)
IS_ACTIVE = text("state = 'active'")

items = Table(
    "items",
    metadata,
    C("number", Number, primary_key=True, autoincrement=True),
    C("item_id", String, nullable=False, unique=True),
    C("domain", String),
    C("title", String),
    C("attributes", JSON, nullable=False),
    C("active", Boolean, nullable=False),
    C("available", Boolean, nullable=False),  # may be recommended; what is not is still learned from
    C("content_hash", String, nullable=False),
    C("text", String),  # of title and attributes, cleaned by version `text_version` of `features.text`
    C("text_version", Integer),
    C("created", Instant, nullable=False),
    C("updated", Instant, nullable=False),
    C("version", BigInteger, nullable=False),  # what `changes` counted when it was last written
    Index("items_by_version", "version"),
)

users = Table(
    "users",
    metadata,
    C("user_id", String, primary_key=True),
    C("created", Instant, nullable=False),
)

events = Table(
    "events",
    metadata,
    C("number", Number, primary_key=True, autoincrement=True),
    C("event_id", String, nullable=False, unique=True),
    C("user_id", ForeignKey("users.user_id", ondelete="CASCADE"), nullable=False),
    C("item_id", ForeignKey("items.item_id"), nullable=False),
    C("at", Float),  # seconds since 1970 UTC; null: not dated
    C("position", BigInteger),
    C("kind", String, nullable=False),
    C("weight", Float, nullable=False),
    C("session_id", String),
    Index("events_of_user", "user_id", "at", "position", "number"),
    sqlite_autoincrement=True,  # a deleted event's number is not given again
)

playlists = Table(
    "playlists",
    metadata,
    C("playlist_id", String, primary_key=True),
    C("name", String),
    C("updated", Instant, nullable=False),
    C("version", BigInteger, nullable=False),  # what `changes` counted when it was last written
    Index("playlists_by_version", "version"),
)

playlist_items = Table(
    "playlist_items",
    metadata,
    C("playlist_id", ForeignKey("playlists.playlist_id", ondelete="CASCADE"), primary_key=True),
    C("position", Integer, primary_key=True),
    C("item_id", ForeignKey("items.item_id"), nullable=False),
    Index("playlists_by_item", "item_id"),
)

vectors = Table(
    "vectors",
    metadata,
    C("part_hash", String, primary_key=True),
    C("layer", Integer, primary_key=True),
    C("owner", String, primary_key=True),  # item or playlist
    C("id", String, primary_key=True),
    C("content_hash", String, nullable=False),
    C("vector", LargeBinary, nullable=False),  # float32, little endian
)

history_states = Table(
    "history_states",
    metadata,
    C("part_hash", String, primary_key=True),
    C("user_id", ForeignKey("users.user_id", ondelete="CASCADE"), primary_key=True),
    C("last_event", BigInteger, nullable=False),
    C("state", LargeBinary, nullable=False),
)

state_units = Table(
    "state_units",
    metadata,
    C("part_hash", String, primary_key=True),
    C("user_id", ForeignKey("users.user_id", ondelete="CASCADE"), primary_key=True),
    C("unit", Integer, primary_key=True),
    C("last_event", BigInteger, nullable=False),
    C("state", LargeBinary, nullable=False),
)

state_snapshots = Table(
    "state_snapshots",
    metadata,
    C("part_hash", String, primary_key=True),
    C("user_id", ForeignKey("users.user_id", ondelete="CASCADE"), primary_key=True),
    C("last_event", BigInteger, primary_key=True),
    C("state", LargeBinary, nullable=False),
)

bundles = Table(
    "bundles",
    metadata,
    C("number", Number, primary_key=True, autoincrement=True),
    C("uri", String, nullable=False, unique=True),
    C("manifest", JSON, nullable=False),
    C("state", String, nullable=False),  # staged, active or retired
    C("created", Instant, nullable=False),
    C("activated", Instant),
    Index("one_active_bundle", "state", unique=True, sqlite_where=IS_ACTIVE, postgresql_where=IS_ACTIVE),
)

impressions = Table(
    "impressions",
    metadata,
    C("request_id", String, primary_key=True),
    C("user_id", String),
    C("bundle", String),
    C("items", JSON, nullable=False),
    C("at", Instant, nullable=False),
    Index("impressions_of_user", "user_id"),
    Index("impressions_by_time", "at"),
)

forgotten_users = Table(
    "forgotten_users",
    metadata,
    C("user_hash", String, primary_key=True),  # SHA-256 of the user id, in hexadecimal
    C("at", Instant, nullable=False),
)

changes = Table(
    "changes",
    metadata,
    C("only", Integer, primary_key=True),
    C("counter", BigInteger, nullable=False),
)
