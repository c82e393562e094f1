"""The drawings of a page: intervals around zero, curves, reliability, shares, matrices.

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
                _matrix_cell(ax, i, j, share[i, j], count)
        ax.set(xlim=(-0.5, count - 0.5), ylim=(count - 0.5, -0.5))
        ax.set_xticks(range(count), short, rotation=90 if max(map(len, short)) > 3 else 0)
        ax.set_yticks(range(count), short)
        ax.spines[["left", "bottom"]].set_visible(False)
        ax.set(xlabel="predicted", ylabel="label")
        return inline(ax.figure, key=key, title=title, description=description)


def _matrix_cell(ax: Any, i: int, j: int, share: float, count: int) -> None:
    colour = _ACCENT if i == j else _WORSE
    if share > 0:
        side = 0.92 * np.sqrt(share)
        ax.bar(j, side, width=side, bottom=i - side / 2, color=colour)
    else:
        ax.plot(j, i, ".", color=_LINE, markersize=2)
