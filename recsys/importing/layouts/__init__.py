"""Layouts that other systems write: each file here reads one and gives rows in our own columns."""
