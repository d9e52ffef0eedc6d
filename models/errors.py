"""Errors of the tensor functions."""


class ConfigError(ValueError):
    """A setting outside its range, or settings that contradict each other."""


class ShapeError(ValueError):
    """Tensors that do not fit together."""
