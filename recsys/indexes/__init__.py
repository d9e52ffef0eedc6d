"""Maximum inner product search over catalogue rows behind one protocol: exact, by a graph, a funnel, or lists of codes."""
