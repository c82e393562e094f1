"""What a measurement comes to: figures beside their targets, as Markdown and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple


class Target(NamedTuple):
    """What a figure should be: ``at_least`` or ``at_most`` a bound."""

    relation: str
    bound: float

    def met_by(self, value: float) -> bool:
        """Whether a value is on the right side of the bound."""
        return value >= self.bound if self.relation == "≥" else value <= self.bound

    def __str__(self) -> str:
        return f"{self.relation} {self.bound:.3g}"


def at_least(bound: float) -> Target:
    """The more, the better."""
    return Target("≥", bound)


def at_most(bound: float) -> Target:
    """The less, the better."""
    return Target("≤", bound)


@dataclass(frozen=True)
class Figure:
    """A number, or why there is none.

    Attributes
    ----------
    value
        A ratio or a relative error; None where it could not be measured.
    target
        What it should be, where something was promised.
    note
        Why there is no value.
    """

    value: float | None
    target: Target | None = None
    note: str = ""

    @property
    def missed(self) -> bool:
        """Whether there is a target that the value does not reach."""
        return (
            self.value is not None
            and self.target is not None
            and not self.target.met_by(self.value)
        )

    def __str__(self) -> str:
        if self.value is None:
            return self.note
        number = (
            f"{self.value:.2f}" if self.value == 0 or self.value >= 0.1 else f"{self.value:.1e}"
        )
        if self.target is None:
            return number
        return f"**{number}** ({self.target}) ✗" if self.missed else f"{number} ({self.target})"

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        target = None if self.target is None else str(self.target)
        return {"value": self.value, "target": target, "missed": self.missed, "note": self.note}


@dataclass(frozen=True)
class Table:
    """Rows of figures under a title.

    Attributes
    ----------
    title
        What was measured.
    columns
        Headings: of the labels, then of the figures.
    rows
        A label and its figures each.
    legend
        What the figures mean.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[tuple[str, Sequence[Figure]]]
    legend: str = ""

    @property
    def figures(self) -> list[Figure]:
        """All of them."""
        return [figure for _, figures in self.rows for figure in figures]

    def to_markdown(self) -> str:
        """The table with its title and legend."""
        lines = [self.columns, ["---"] * len(self.columns)]
        lines += [[label, *map(str, figures)] for label, figures in self.rows]
        table = "\n".join("| " + " | ".join(line) + " |" for line in lines)
        return "\n\n".join(part for part in (f"## {self.title}", table, self.legend) if part)

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        names = self.columns[1:]
        return {
            "title": self.title,
            "legend": self.legend,
            "rows": [
                {
                    "label": label,
                    "figures": {
                        name: figure.to_dict() for name, figure in zip(names, figures, strict=True)
                    },
                }
                for label, figures in self.rows
            ],
        }
