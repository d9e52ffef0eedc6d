"""Maximum inner product search over catalogue rows behind one protocol: exact, HNSW, IVF-PQ, or a Matryoshka funnel."""
