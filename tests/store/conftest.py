"""These tests run on both databases."""

from tests.databases import database_url, empty_url, postgres, store

__all__ = ["database_url", "empty_url", "postgres", "store"]
