"""The drawings of a page: intervals around zero, curves, reliability.

Each is drawn for a column a phone's width or half of it, so that a desk shows several in a row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from crossentropy._page._svg import COLOURS, axes, inline, style

if TYPE_CHECKING:
    from markupsafe import Markup

_INK, _MUTED, _LINE = COLOURS["ink"], COLOURS["muted"], COLOURS["line"]
_ACCENT, _WORSE, _PAPER = COLOURS["accent"], COLOURS["worse"], COLOURS["paper"]

# Verdicts differ in shape and filling, not by colour alone.
_MARKS = {
    "better": {"marker": "o", "color": _ACCENT, "markerfacecolor": _ACCENT},
    "worse": {"marker": "s", "color": _WORSE, "markerfacecolor": _WORSE},
    "undecided": {"marker": "o", "color": _MUTED, "markerfacecolor": _PAPER},
    "identical": {"marker": "|", "color": _MUTED, "markerfacecolor": _MUTED},
}


@dataclass(frozen=True)
class Interval:
    """A difference with its interval, and what was made of it."""

    label: str
    mean: float
    low: float
    high: float
    verdict: str
    text: str


@dataclass(frozen=True)
class Curve:
    """A line through points."""

    x: Sequence[float]
    y: Sequence[float]


@dataclass(frozen=True)
class Bins:
    """Predictions binned by their confidence."""

    confidence: Sequence[float]
    accuracy: Sequence[float]
    count: Sequence[int]


def forest(
    intervals: Sequence[Interval], *, axis: str, key: str, title: str, description: str
) -> Markup:
    """Draw intervals, one under the other, around a line at zero.

    Parameters
    ----------
    intervals
        From top to bottom; each label stands above its interval, its text at the right.
    axis
        What the horizontal axis shows, with its unit.
    key, title, description
        See `crossentropy._page._svg.inline`.
    """
    row = 42
    with style(key):
        ax = axes(380, row * len(intervals) + 44, left=8, right=8, top=0, low=44)
        ax.set_ylim(len(intervals), 0)
        limit = _limit(intervals)
        ax.set_xlim(-limit, limit)
        ax.axvline(0, color=_MUTED, linewidth=1)
        ax.grid(axis="x")
        ax.spines[["left", "bottom"]].set_visible(False)
        ax.set_yticks([])
        ax.locator_params(axis="x", nbins=5)
        ax.set_xlabel(axis)
        for index, interval in enumerate(intervals):
            _interval(ax, index, interval, limit)
        return inline(ax.figure, key=key, title=title, description=description)


def _limit(intervals: Sequence[Interval]) -> float:
    """Reach as far as most intervals do; the few that go far beyond end in an arrow."""
    ends = np.array([max(abs(i.low), abs(i.high)) for i in intervals])
    return float(1.1 * min(ends.max(), 3 * np.quantile(ends, 0.75))) or 1.0


def _interval(ax: Any, index: int, interval: Interval, limit: float) -> None:
    mark = _MARKS[interval.verdict]
    y = index + 0.66
    low, mean, high = np.clip([interval.low, interval.mean, interval.high], -limit, limit)
    ax.plot([low, high], [y, y], color=mark["color"], linewidth=2, solid_capstyle="butt")
    if abs(interval.mean) < limit:
        ax.plot(mean, y, markersize=8, markeredgewidth=1.6, **mark)
    for end, outside, arrow in (
        (low, interval.low < -limit, "<"),
        (high, interval.high > limit, ">"),
    ):
        if outside:
            ax.plot(end, y, arrow, color=mark["color"], markersize=7, clip_on=False)
    halo = {"facecolor": _PAPER, "edgecolor": "none", "pad": 1}
    across = ax.get_yaxis_transform()
    weight = "normal" if interval.verdict in ("undecided", "identical") else "bold"
    ax.text(0, index + 0.4, interval.label, transform=across, va="bottom", bbox=halo, size=11.5)
    ax.text(
        1,
        index + 0.4,
        interval.text,
        transform=across,
        va="bottom",
        ha="right",
        color=mark["color"],
        weight=weight,
        bbox=halo,
    )


def curve(
    line: Curve,
    reference: Curve | None,
    *,
    limits: tuple[float, float],
    key: str,
    title: str,
    description: str,
) -> Markup:
    """Draw a learning curve over a reference, with the best epoch marked.

    Parameters
    ----------
    line, reference
        The curve, and the one to compare it with.
    limits
        The range of the vertical axis, the same for all curves of a page.
    key, title, description
        See `crossentropy._page._svg.inline`.
    """
    with style(key):
        ax = axes(190, 135, left=26, right=8, top=8, low=20)
        ax.grid(axis="y")
        if reference is not None:
            ax.plot(reference.x, reference.y, color=_MUTED, linewidth=1.2, dashes=(3, 2))
        ax.plot(line.x, line.y, color=_ACCENT, linewidth=2)
        best = int(np.argmin(line.y))
        ax.plot(line.x[best], line.y[best], "o", color=_ACCENT, markersize=6)
        ax.set_ylim(*limits)
        ax.locator_params(nbins=4)
        return inline(ax.figure, key=key, title=title, description=description)


def reliability(bins: Bins, *, key: str, title: str, description: str) -> Markup:
    """Draw how often predictions of each confidence come true, and how many there are.

    Parameters
    ----------
    bins
        The bins; empty ones are left out.
    key, title, description
        See `crossentropy._page._svg.inline`.
    """
    count = np.asarray(bins.count, dtype=float)
    full = count > 0
    confidence = np.asarray(bins.confidence, dtype=float)[full]
    accuracy = np.asarray(bins.accuracy, dtype=float)[full]
    with style(key):
        ax = axes(210, 210, left=40, right=10, top=8, low=38)
        ax.grid()
        ax.plot([0, 1], [0, 1], color=_MUTED, linewidth=1, dashes=(3, 2))
        ax.vlines(confidence, confidence, accuracy, color=_WORSE, linewidth=1)
        share = count[full] / count.sum()
        ax.bar(confidence, 0.25 * share / share.max(), width=0.03, color=_LINE)
        ax.plot(confidence, accuracy, "-o", color=_ACCENT, linewidth=1.6, markersize=5)
        ax.set(xlim=(0, 1.02), ylim=(0, 1.02), xlabel="confidence, %", ylabel="accuracy, %")
        ticks = [0, 0.5, 1]
        ax.set_xticks(ticks, ["0", "50", "100"])
        ax.set_yticks(ticks, ["0", "50", "100"])
        return inline(ax.figure, key=key, title=title, description=description)
