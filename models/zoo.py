"""Named architectures: SASRec (arXiv:1808.09781) over each kind of item vector, and the encoders of lists."""

from models.embeddings import ItemKind

SEQUENCE_MODELS: dict[str, ItemKind] = {"sasrec": "id", "sasrec-text": "text", "sasrec-hybrid": "hybrid"}

LIST_MODELS = ("playlist-seq2seq", "set")
"""Encoders of whole lists: one that knows the order (`models.encoders.seq2seq`), one that does not (`models.encoders.sets`)."""
