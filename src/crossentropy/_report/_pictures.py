"""The pictures of a report: where the bits go, reliability, gains, confusion."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from crossentropy import _page as page
from crossentropy._page import charts, probability_charts
from crossentropy._page.numbers import difference, number, percent, to_float

from ._words import CALIBRATORS, parts

Results: TypeAlias = "Mapping[str, Any]"

_MATRIX_CLASSES = 20


def bits(results: Results) -> page.Charts | None:
    """Draw where the bits go beside what calibrators win; None where neither can be said."""
    shown = [chart for chart in (_split(results), _gains(results)) if chart is not None]
    if not shown:
        return None
    return page.Charts(
        shown,
        "The whole bar is what a row costs if only the class frequencies are known. Gains are log "
        "loss before minus after, with 95 % intervals; each calibrator was fitted on four fifths "
        "of the rows and measured on the others, in turn.",
    )


def _split(results: Results) -> page.Chart | None:
    """The base-rate entropy as what is lost, recoverable and known."""
    split = parts(results)
    if split is None or split.known < 0:
        return None
    gain = max(split.calibration, 0.0)
    shown = [
        probability_charts.Share(
            "Lost: only a better model wins it",
            split.loss - gain,
            _bits(split.loss - gain),
            "worse",
        ),
        probability_charts.Share("Calibration wins it back", gain, _bits(gain), "muted"),
        probability_charts.Share(
            "Known about the label", split.known, _bits(split.known), "accent"
        ),
    ]
    text = "; ".join(f"{share.label}: {share.text}" for share in shown)
    svg = probability_charts.shares(
        shown,
        axis="bits per row",
        key="bits",
        title="Where the bits of the base-rate entropy go",
        description=f"{text}.",
    )
    return page.Chart("Of the bits that the class frequencies leave open", svg)


def _bits(value: float) -> str:
    return f"{number(value)} bits"


def reliability(results: Results) -> page.Charts:
    """Draw accuracy by confidence with bands, and how the confidences are spread."""
    told = results["reliability"]
    bins = charts.Bins(told["confidence"], told["accuracy"], told["weight"])
    band = probability_charts.Band(
        told["chance_low"], told["chance_high"], told["low"], told["high"]
    )
    outside = sum(
        not low - 1e-12 <= accuracy <= high + 1e-12
        for low, accuracy, high in zip(
            told["chance_low"], told["accuracy"], told["chance_high"], strict=True
        )
    )
    top = max(zip(told["weight"], told["confidence"], strict=True))
    return page.Charts(
        [
            page.Chart(
                "Said and seen",
                probability_charts.reliability_band(
                    bins,
                    band,
                    key="reliability",
                    title="Reliability diagram",
                    description=f"Of {len(told['accuracy'])} bins of confidence {outside} are "
                    "further from the diagonal than chance takes calibrated predictions.",
                ),
            ),
            page.Chart(
                "How sure the predictions are",
                probability_charts.histogram(
                    bins,
                    key="histogram",
                    title="Histogram of confidence",
                    description=f"Most predictions have about {percent(top[1], 0)} % confidence.",
                ),
            ),
        ],
        "First: accuracy by confidence in 15 bins of equal width, with the interval of each; "
        "larger points hold more rows. Grey is where chance would put calibrated predictions, 95 % "
        "of the time. Second: the share of the rows in each bin, right and wrong.",
    )


def _gains(results: Results) -> page.Chart | None:
    """What each calibrator wins on rows that it was not fitted on."""
    told = results["remedies"]
    shown = [c for c in told["candidates"] if c["name"] != "none"] if told else []
    if not shown:
        return None
    intervals = [_gain(one) for one in shown]
    svg = charts.forest(
        intervals,
        axis="bits won per row",
        key="gains",
        title="Cross-fitted gains of calibrators",
        description="; ".join(f"{one.label} {one.text} bits" for one in intervals) + ".",
    )
    return page.Chart("What each calibrator would win", svg)


def _gain(one: Mapping[str, Any]) -> charts.Interval:
    gain, low, high = (to_float(one[name]) for name in ("gain", "low", "high"))
    return charts.Interval(
        CALIBRATORS.get(one["name"], one["name"]),
        gain,
        low,
        high,
        _verdict(low, high),
        difference(gain, low, high),
    )


def _verdict(low: Any, high: Any) -> str:
    low, high = to_float(low), to_float(high)
    if low > 1e-9:
        return "better"
    return "worse" if high < -1e-9 else "undecided"


def against(results: Results) -> page.Charts:
    """Draw the differences from the baseline, a chart each."""
    told = results["baseline"]
    shown = []
    for name, title, axis, scale, sign in (
        ("log_loss", "Log loss", "bits per row; left is better", 1, 1),
        ("accuracy", "Accuracy", "points; right is better", 100, -1),
    ):
        change = {k: scale * to_float(v) for k, v in told["differences"][name].items()}
        low, high = sorted((-sign * change["low"], -sign * change["high"]))
        one = charts.Interval(
            f"{results['name']} minus {told['name']}",
            change["mean"],
            change["low"],
            change["high"],
            _verdict(low, high),
            difference(change["mean"], change["low"], change["high"], 3 if scale == 1 else 2),
        )
        svg = charts.forest(
            [one],
            axis=axis,
            key=f"against-{name}",
            title=f"Difference in {title.lower()}",
            description=f"{one.text}, interval {number(one.low)} to {number(one.high)}.",
        )
        shown.append(page.Chart(title, svg))
    return page.Charts(
        shown, "This model minus the baseline on the same rows, with paired 95 % intervals."
    )


def confusion(results: Results) -> page.Charts | None:
    """Draw the confusion matrix of a few classes, each row as shares of its class."""
    names, counts = results["classes"], results["confusion"]
    if counts is None or len(names) > _MATRIX_CLASSES:
        return None
    share = [[value / (sum(row) or 1.0) for value in row] for row in counts]
    worst = max((share[i][j], i, j) for i in range(len(names)) for j in range(len(names)) if i != j)
    svg = probability_charts.matrix(
        share,
        names,
        key="confusion",
        title="Confusion matrix",
        description=f"Most often taken for another: {names[worst[1]]} for {names[worst[2]]}, "
        f"{percent(worst[0])} % of its rows.",
    )
    return page.Charts(
        [page.Chart("What each label is predicted as", svg)],
        "The area of a square is the share of the label's rows; off the diagonal are mistakes.",
    )
