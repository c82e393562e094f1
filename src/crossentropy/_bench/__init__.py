"""The measurements behind `crossentropy bench` and `make bench`: ratios within one run.

Each section is a module of its own that yields tables. They need torch, and so are imported
when they are asked for.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator

from ._effort import QUICK, Effort
from ._tables import Figure, Table, Target

__all__ = ["QUICK", "SECTIONS", "Effort", "Figure", "Table", "Target", "measure"]

_MODULES = {
    "passes": "_passes",
    "training": "_training",
    "16-bits": "_sixteen_bits",
    "variants": "_variants",
    "reference": "_reference",
    "levels": "_levels",
    "memory": "_memory",
    "accuracy": "_accuracy",
    "binary": "_binary",
    "soft": "_soft",
    "measures": "_measures",
    "evaluation": "_evaluation",
    "scores": "_scores",
    "diagnosis": "_diagnosis",
    "calibration": "_calibration",
    "linear": "_linear",
}
SECTIONS = tuple(_MODULES)


def measure(section: str, effort: Effort) -> Iterator[Table]:
    """Measure one section, table by table.

    Parameters
    ----------
    section
        One of `SECTIONS`.
    effort
        How thoroughly.
    """
    module = importlib.import_module(f"{__name__}.{_MODULES[section]}")
    yield from module.tables(effort)
