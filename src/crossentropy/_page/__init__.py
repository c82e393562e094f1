"""The one maker of pages: blocks in, one self-contained HTML file out.

A page is a `Page` of sections of blocks. Text is always escaped; nothing on a page
loads anything, and a content security policy in the page holds it to that. Charts
come from `crossentropy._page.charts` as inline SVG that follows the page's colours.
"""

from crossentropy._page._blocks import (
    Block,
    Card,
    Cards,
    Cell,
    Chart,
    Charts,
    Code,
    Column,
    Definitions,
    Details,
    Page,
    Prose,
    Row,
    Section,
    Table,
)
from crossentropy._page._render import render

__all__ = [
    "Block",
    "Card",
    "Cards",
    "Cell",
    "Chart",
    "Charts",
    "Code",
    "Column",
    "Definitions",
    "Details",
    "Page",
    "Prose",
    "Row",
    "Section",
    "Table",
    "render",
]
