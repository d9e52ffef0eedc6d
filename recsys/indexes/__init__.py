"""Maximum inner product search over catalogue rows: exact, or approximate through a graph, behind one protocol."""
