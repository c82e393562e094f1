"""Losses by name: what the command line, PyTorch's `loss=` and the tests choose from."""

from __future__ import annotations

import inspect

from crossentropy._errors import InputError, closest

from . import _family
from ._base import Loss

_LOSSES: dict[str, type[Loss]] = {
    cls.name: cls
    for cls in vars(_family).values()
    if inspect.isclass(cls) and issubclass(cls, Loss) and cls is not Loss
}


def available() -> list[str]:
    """Names that `get` takes.

    Examples
    --------
    >>> "focal" in available()
    True
    """
    return sorted(_LOSSES)


def get(name: str, **parameters: float) -> Loss:
    """Make a loss from its name.

    Parameters
    ----------
    name
        One of `available`, in snake case.
    **parameters
        The loss's own parameters; the rest keep their defaults.

    Raises
    ------
    ValueError
        If there is no such loss, or a parameter is out of its range.
    TypeError
        If the loss has no such parameter.

    Examples
    --------
    >>> get("focal", gamma=1.5)
    Focal(gamma=1.5)
    """
    if name not in _LOSSES:
        raise InputError(f"unknown loss {name!r}; {closest(name, available())}")
    return _LOSSES[name](**parameters)
