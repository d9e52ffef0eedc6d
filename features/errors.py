"""Errors of the table functions."""


class SchemaError(ValueError):
    """A table lacks a column or has it with another type."""
