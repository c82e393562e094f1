"""What a page is made of. Every string is plain text; only charts are markup."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from markupsafe import Markup


@dataclass(frozen=True)
class Prose:
    """Paragraphs."""

    paragraphs: Sequence[str]


@dataclass(frozen=True)
class Column:
    """A column's heading: what it holds and, in small print, its unit."""

    title: str
    unit: str = ""


@dataclass(frozen=True)
class Cell:
    """A value, a remark in small print, and perhaps a bar that shows a share of one."""

    text: str
    remark: str = ""
    bar: float | None = None
    tone: str = ""


@dataclass(frozen=True)
class Row:
    """A row's heading, its cells, and a badge if the row is singled out."""

    title: str
    cells: Sequence[Cell]
    remark: str = ""
    badge: str = ""


@dataclass(frozen=True)
class Table:
    """A table whose first column names the rows."""

    caption: str
    columns: Sequence[Column]
    rows: Sequence[Row]


@dataclass(frozen=True)
class Chart:
    """One drawing with its heading."""

    title: str
    svg: Markup


@dataclass(frozen=True)
class Charts:
    """Charts side by side, as many in a row as fit."""

    charts: Sequence[Chart]
    caption: str
    small: bool = False


@dataclass(frozen=True)
class Code:
    """Lines of Python."""

    text: str


@dataclass(frozen=True)
class Card:
    """One thing that was found: its figure, and what follows from it."""

    title: str
    figure: str
    remark: str
    blocks: Sequence[Block]
    tone: str = ""


@dataclass(frozen=True)
class Cards:
    """Cards, one under the other."""

    cards: Sequence[Card]


@dataclass(frozen=True)
class Definitions:
    """Terms and what they mean."""

    terms: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Details:
    """Blocks that are one click away."""

    summary: str
    blocks: Sequence[Block]


Block: TypeAlias = Prose | Table | Charts | Cards | Code | Definitions | Details


@dataclass(frozen=True)
class Section:
    """A heading and what stands under it."""

    title: str
    blocks: Sequence[Block]


@dataclass(frozen=True)
class Page:
    """A whole page.

    Attributes
    ----------
    title
        The document's title, shown in the browser's tab.
    kicker
        A line above the headline: what was examined.
    headline
        The sentence that a reader takes away, or how it begins.
    rest
        How it goes on, in smaller type.
    facts
        Figures under the headline: what, how much, and a remark.
    sections
        What follows.
    footer
        Where the page comes from.
    notice
        What a reader must know before trusting the rest.
    """

    title: str
    kicker: str
    headline: str
    facts: Sequence[tuple[str, str, str]]
    sections: Sequence[Section]
    footer: Sequence[str]
    rest: str = ""
    notice: str = ""
