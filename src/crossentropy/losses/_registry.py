"""Losses by name: what the command line, PyTorch's `loss=` and the tests choose from."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

from crossentropy._errors import InputError, closest

from . import _family, _margins, _noise, _normalized, _robust
from ._base import Loss
from ._objective import Rule
from ._scalar_rule import ScalarRule
from ._sum import Sum


def _members(module: ModuleType) -> Iterator[tuple[str, type[Loss]]]:
    """The losses of a module that can be made without parameters."""
    for cls in vars(module).values():
        if inspect.isclass(cls) and issubclass(cls, Loss) and not inspect.isabstract(cls):
            fields = dataclasses.fields(cls)
            if not any(field.default is dataclasses.MISSING for field in fields):
                yield cls().name, cls


_MODULES = (_family, _robust, _normalized, _margins, _noise)
_OWN = {cls for module in _MODULES for cls in vars(module).values() if inspect.isclass(cls)}
_LOSSES = {name: cls for module in _MODULES for name, cls in _members(module)}


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


def as_loss(loss: Loss | str | Callable[[Any], Any] | None) -> Loss:
    """The loss for what a `loss=` argument was given.

    Parameters
    ----------
    loss
        A loss; the name of one; a function of the log-probability of the target, as in
        `ScalarRule`; or None for cross entropy.

    Raises
    ------
    ValueError
        If there is no loss of that name.
    TypeError
        If it is none of these.

    Examples
    --------
    >>> as_loss("focal"), as_loss(None)
    (Focal(gamma=2.0), CrossEntropy())
    """
    if loss is None:
        return _family.CrossEntropy()
    if isinstance(loss, Loss):
        return loss
    if isinstance(loss, str):
        return get(loss)
    if callable(loss) and not inspect.isclass(loss):
        return ScalarRule(loss)
    raise TypeError(
        "loss must be a crossentropy loss, its name or a function of the log-probability, "
        f"got {loss!r}"
    )


def is_portable(loss: Rule) -> bool:
    """Whether a loss is one of ours, or a sum of them, and so runs on any library's arrays."""
    if isinstance(loss, Sum):
        return all(is_portable(part) for _, part in loss.parts)
    return type(loss) in _OWN
