"""From a matplotlib figure to SVG that belongs to the page it stands in.

Text stays text in the page's font, colours become the page's variables (so that dark
mode reaches them), and identifiers are unique on the page and the same in every run.
"""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from crossentropy._optional import require

if TYPE_CHECKING:
    from markupsafe import Markup

# Colours no one would choose, each standing for a variable of page.css.
COLOURS = {
    "ink": "#010203",
    "muted": "#010204",
    "line": "#010205",
    "accent": "#010206",
    "worse": "#010207",
    "paper": "#010208",
}

# matplotlib's unit of length, the point, is a CSS pixel on the page.
_POINTS_PER_INCH = 72

_STYLE = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # comes with matplotlib, and only measures
    "svg.fonttype": "none",
    "text.parse_math": False,  # a dollar sign in a name is a dollar sign
    "axes.unicode_minus": True,
    "axes.axisbelow": True,
    "axes.edgecolor": COLOURS["line"],
    "axes.labelcolor": COLOURS["muted"],
    "axes.labelsize": 11,
    "axes.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": COLOURS["line"],
    "grid.linewidth": 0.7,
    "text.color": COLOURS["ink"],
    "xtick.color": COLOURS["line"],
    "ytick.color": COLOURS["line"],
    "xtick.labelcolor": COLOURS["muted"],
    "ytick.labelcolor": COLOURS["muted"],
    "xtick.labelsize": 11,
    "ytick.labelsize": 11,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "font.size": 12,
}


def style(key: str) -> Any:
    """Return matplotlib's settings for one chart, as a context manager."""
    return require("matplotlib", "report").rc_context({**_STYLE, "svg.hashsalt": key})


def axes(width: float, height: float, *, left: float, right: float, top: float, low: float) -> Any:
    """Return axes in a figure of that many pixels, inside margins of that many."""
    figure = require("matplotlib.figure", "report").Figure(
        figsize=(width / _POINTS_PER_INCH, height / _POINTS_PER_INCH), facecolor="none"
    )
    box = (left / width, low / height, 1 - (left + right) / width, 1 - (top + low) / height)
    return figure.add_axes(box)


def inline(figure: Any, *, key: str, title: str, description: str) -> Markup:
    """Return the figure as an SVG element.

    Parameters
    ----------
    figure
        A matplotlib figure drawn inside `style(key)`.
    key
        What no other chart on the page is called; its identifiers start with it.
    title, description
        What a screen reader says in place of the picture.
    """
    with io.BytesIO() as file:
        figure.savefig(file, format="svg", metadata={"Date": None})
        root = ElementTree.fromstring(file.getvalue())
    _tidy(root)
    _rename(root, key)
    for name in ("width", "height", "version"):
        root.attrib.pop(name, None)
    root.attrib |= {"role": "img", "aria-labelledby": f"{key}-title {key}-desc"}
    for tag, text in (("desc", description), ("title", title)):
        element = ElementTree.Element(tag, {"id": f"{key}-{tag}"})
        element.text = text
        root.insert(0, element)
    text = ElementTree.tostring(root, encoding="unicode")
    text = re.sub(r" font-family: [^;]*;", "", text)  # the page's own
    for name, colour in COLOURS.items():
        text = text.replace(colour, f"var(--{name})")
    markup: Markup = require("markupsafe", "report").Markup(text)
    return markup


def _tidy(parent: ElementTree.Element) -> None:
    """Drop namespaces, metadata and style sheets, which would reach the whole page."""
    for element in (parent, *parent.iter()):
        element.tag = element.tag.rpartition("}")[2]
        for name in list(element.attrib):
            if "}" in name:
                element.attrib[name.rpartition("}")[2]] = element.attrib.pop(name)
        for child in list(element):
            if child.tag.endswith(("}metadata", "}style")):
                element.remove(child)
        if not (element.text or "").strip():
            element.text = None
        element.tail = None


def _rename(root: ElementTree.Element, key: str) -> None:
    """Keep the identifiers that something refers to, under names of this chart."""
    refers = re.compile(r"#([\w-]+)(?=\)|$)")
    used: dict[str, str] = {}
    for element in root.iter():
        for name in ("href", "clip-path"):
            for old in refers.findall(element.get(name, "")):
                new = used.setdefault(old, f"{key}-{len(used)}")
                element.set(name, element.attrib[name].replace(old, new))
    for element in root.iter():
        old = element.attrib.pop("id", None)
        if old in used:
            element.set("id", used[old])
