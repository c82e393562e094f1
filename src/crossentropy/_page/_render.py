"""From blocks to HTML, through one template."""

from __future__ import annotations

from pathlib import Path

from crossentropy._optional import require
from crossentropy._page._blocks import Page

_TEMPLATES = Path(__file__).parent / "templates"


def render(page: Page) -> str:
    """Return the page as one self-contained HTML document.

    Parameters
    ----------
    page
        What to show.
    """
    jinja2 = require("jinja2", "report")
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.tests["block"] = lambda block, kind: type(block).__name__ == kind
    html: str = environment.get_template("page.html").render(page=page)
    return html
