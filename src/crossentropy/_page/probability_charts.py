"""The drawings of probabilities: reliability with bands, confidence, shares, confusion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from crossentropy._page._svg import COLOURS, axes, inline, style
from crossentropy._page.charts import Bins

if TYPE_CHECKING:
    from markupsafe import Markup

_MUTED, _LINE, _PAPER = COLOURS["muted"], COLOURS["line"], COLOURS["paper"]
_ACCENT, _WORSE = COLOURS["accent"], COLOURS["worse"]


@dataclass(frozen=True)
class Band:
    """What calibrated predictions would show in each bin, and each bin's interval."""

    chance_low: Sequence[float]
    chance_high: Sequence[float]
    low: Sequence[float]
    high: Sequence[float]


@dataclass(frozen=True)
class Share:
    """A part of a whole: its name, size, and how it is filled: a colour's name."""

    label: str
    size: float
    text: str
    colour: str


def reliability_band(bins: Bins, band: Band, *, key: str, title: str, description: str) -> Markup:
    """Draw full bins' accuracy by confidence, over what calibrated predictions would show.

    Parameters
    ----------
    bins, band
        The bins, none of them empty.
    key, title, description
        See `crossentropy._page._svg.inline`.
    """
    x, y = np.asarray(bins.confidence), np.asarray(bins.accuracy)
    low, high = np.asarray(band.low), np.asarray(band.high)
    with style(key):
        ax = _confidence_axes(300)
        ax.set_ylim(0, 1.02)
        chance = np.asarray(band.chance_low), np.asarray(band.chance_high)
        ax.bar(x, chance[1] - chance[0], bottom=chance[0], width=0.045, color=_LINE)
        ax.plot([0, 1], [0, 1], color=_MUTED, linewidth=1, dashes=(3, 2))
        ax.vlines(x, low, high, color=_ACCENT, linewidth=1.2)
        share = np.asarray(bins.count) / np.sum(bins.count)
        ax.scatter(x, y, s=30 + 130 * share, color=_ACCENT, zorder=3)
        ax.set_ylabel("of which right, %")
        ax.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0", "25", "50", "75", "100"])
        return inline(ax.figure, key=key, title=title, description=description)


def histogram(bins: Bins, *, key: str, title: str, description: str) -> Markup:
    """Draw how many predictions there are of each confidence: right ones over wrong ones.

    Parameters
    ----------
    bins
        Bins of equal width, none of them empty.
    key, title, description
        See `crossentropy._page._svg.inline`.
    """
    x, y, count = (np.asarray(v) for v in (bins.confidence, bins.accuracy, bins.count))
    share = count / count.sum()
    with style(key):
        ax = _confidence_axes(300)
        width = 0.04
        ax.bar(x, share * (1 - y), width=width, color=_WORSE, label="wrong")
        ax.bar(x, share * y, width=width, bottom=share * (1 - y), color=_ACCENT, label="right")
        ax.set_ylim(0, 1.12 * share.max())
        ax.locator_params(axis="y", nbins=5)
        ax.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f}")
        ax.set_ylabel("share of the rows, %")
        ax.legend(frameon=False, loc="upper left", fontsize=11)
        return inline(ax.figure, key=key, title=title, description=description)


def _confidence_axes(height: float) -> Any:
    ax = axes(380, height, left=48, right=10, top=8, low=42)
    ax.grid()
    ax.set_xlim(0, 1.03)
    ax.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "25", "50", "75", "100"])
    ax.set_xlabel("confidence, %")
    return ax


def shares(parts: Sequence[Share], *, axis: str, key: str, title: str, description: str) -> Markup:
    """Draw a whole as one bar of parts, each named underneath.

    Parameters
    ----------
    parts
        From left to right.
    axis
        What the bar measures, with its unit.
    key, title, description
        See `crossentropy._page._svg.inline`.
    """
    line = 26
    with style(key):
        ax = axes(380, 104 + line * len(parts), left=8, right=8, top=4, low=56 + line * len(parts))
        whole = sum(part.size for part in parts) or 1.0
        left = 0.0
        for part in parts:
            ax.barh(
                0,
                part.size,
                left=left,
                height=1,
                color=COLOURS[part.colour],
                edgecolor=_PAPER,
                linewidth=1.5,
            )
            left += part.size
        ax.set(xlim=(0, whole), ylim=(-0.5, 0.5), yticks=[])
        ax.spines["left"].set_visible(False)
        ax.locator_params(axis="x", nbins=6)
        ax.set_xlabel(axis)
        for index, part in enumerate(parts):
            at = {"xycoords": "axes pixels", "annotation_clip": False, "va": "center"}
            y = -60 - line * index
            ax.annotate("\u25a0", (0, y), color=COLOURS[part.colour], size=15, **at)
            ax.annotate(part.label, (20, y), size=11.5, **at)
            ax.annotate(part.text, (364, y), ha="right", weight="bold", size=11.5, **at)
        return inline(ax.figure, key=key, title=title, description=description)


def matrix(
    values: Sequence[Sequence[float]],
    names: Sequence[str],
    *,
    key: str,
    title: str,
    description: str,
) -> Markup:
    """Draw a matrix of shares whose rows sum to one: the diagonal calm, the rest as it weighs.

    Parameters
    ----------
    values
        Row by row.
    names
        Of rows and columns.
    key, title, description
        See `crossentropy._page._svg.inline`.
    """
    share = np.asarray(values, dtype=float)
    count = len(names)
    short = [name if len(name) <= 12 else name[:11] + "…" for name in names]
    margin = 26 + 6.5 * max(map(len, short))
    with style(key):
        ax = axes(480, 480, left=margin, right=8, top=8, low=margin)
        for i in range(count):
            for j in range(count):
                _matrix_cell(ax, i, j, share[i, j])
        ax.set(xlim=(-0.5, count - 0.5), ylim=(count - 0.5, -0.5))
        ax.set_xticks(range(count), short, rotation=90 if max(map(len, short)) > 3 else 0)
        ax.set_yticks(range(count), short)
        ax.spines[["left", "bottom"]].set_visible(False)
        ax.set(xlabel="predicted", ylabel="label")
        return inline(ax.figure, key=key, title=title, description=description)


def _matrix_cell(ax: Any, i: int, j: int, share: float) -> None:
    colour = _ACCENT if i == j else _WORSE
    if share > 0:
        side = 0.92 * np.sqrt(share)
        ax.bar(j, side, width=side, bottom=i - side / 2, color=colour)
    else:
        ax.plot(j, i, ".", color=_LINE, markersize=2)
