"""The error of input that cannot be used, and the hint at what was meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

_SHOWN = 20


class InputError(ValueError):
    """What was given cannot be used; the message says what was wanted and what to do.

    A `ValueError` to callers from Python. The command line turns it, and no other, into its
    ``error:`` line, so that a defect of ours keeps its traceback.
    """


class RowError(InputError):
    """`InputError` of one row, for callers that know where it came from.

    Attributes
    ----------
    rule
        What the row breaks.
    row
        Its index.
    shown
        What it holds.
    """

    def __init__(self, rule: str, row: int, shown: str) -> None:
        super().__init__(f"{rule}; row {row} is {shown}")
        self.rule, self.row, self.shown = rule, row, shown


def closest(name: str, names: Iterable[object]) -> str:
    """Say which of the names was probably meant, and which there are.

    Parameters
    ----------
    name
        The name that was asked for.
    names
        The names there are.

    Examples
    --------
    >>> closest("lable", ["label", "age"])
    "did you mean 'label'? There are 'label', 'age'"
    """
    known = [str(name) for name in names]
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    shown = ", ".join(map(repr, known[:_SHOWN])) or "none"
    more = f" and {len(known) - _SHOWN} more" if len(known) > _SHOWN else ""
    return f"{hint}{'T' if hint else 't'}here are {shown}{more}"
