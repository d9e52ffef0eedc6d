"""Items, events, playlists, vectors and bundles in SQL.

Other packages use `Store`, the records, the frames, the journal, and `sessions` to migrate or connect.
"""

from recsys.store.store import Store

__all__ = ["Store"]
