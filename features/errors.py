"""Errors of the table functions."""


class SchemaError(ValueError):
    """A table lacks a column or holds it under another type."""
