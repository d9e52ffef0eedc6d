"""Named architectures. Each is a SASRec (arXiv:1808.09781) over another kind of item vector."""

from models.embeddings import ItemKind

SEQUENCE_MODELS: dict[str, ItemKind] = {"sasrec": "id", "sasrec-text": "text", "sasrec-hybrid": "hybrid"}
