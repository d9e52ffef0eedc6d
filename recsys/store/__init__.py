"""What is kept in SQL."""

from recsys.store.store import Store

__all__ = ["Store"]
