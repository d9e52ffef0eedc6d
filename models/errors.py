"""Errors of the tensor functions."""


class ConfigError(ValueError):
    """A setting outside its range, or settings that contradict each other."""


class ShapeError(ValueError):
    """Tensors that do not fit together."""


MAX_LAYERS = 256
"""Layers, blocks or steps of any model, at most: stored settings are not to ask for models that take minutes to make."""


def check_depth(**numbers: int) -> None:
    """Does nothing if no number of layers, blocks or steps is beyond `MAX_LAYERS`.

    Raises:
        ConfigError: one is.
    """
    for name, number in numbers.items():
        if number > MAX_LAYERS:
            raise ConfigError(f"{name}={number}: must be at most {MAX_LAYERS}")
