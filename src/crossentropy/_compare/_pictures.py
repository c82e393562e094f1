"""The pictures of a comparison: differences as intervals, learning curves, reliability."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from crossentropy import _page as page
from crossentropy._compare._ranking import ResultRow, Results, baseline, best, label, ranked
from crossentropy._page import charts
from crossentropy._page.numbers import difference, number, percent, to_float

VERDICTS = {
    "better": "better",
    "worse": "worse",
    "undecided": "no measurable difference",
    "identical": "identical",
}


class _Metric(NamedTuple):
    """A score whose differences are drawn."""

    name: str
    title: str
    unit: str
    better: str
    scale: float = 1
    digits: int = 2


_METRICS = (
    _Metric("log_loss", "Log loss after temperature", "bits", "left"),
    _Metric("log_loss_raw", "Log loss before temperature", "bits", "left"),
    _Metric("balanced_accuracy", "Balanced accuracy", "points", "right", scale=100, digits=1),
)
_NOISY = (
    "Here the validation labels are noisy and the test labels are not. Temperature makes the "
    "predictions as modest as the noise asks, which is too modest for clean labels, and most so "
    "for the losses that saw through the noise. Their scores before temperature show it."
)


def differences(results: Results) -> page.Section | None:
    """Lay out the differences from cross entropy; None if nothing was compared with it."""
    rows = [row for row in ranked(results) if row["kind"] in ("loss", "corrected")]
    shown = [chart for metric in _METRICS if (chart := _forest(rows, metric)) is not None]
    if not shown:
        return None
    confidence = percent(results["protocol"]["confidence"], 0)
    return page.Section(
        "Differences from cross entropy",
        [
            page.Prose(
                [
                    "Each candidate minus plain cross entropy, on the same splits. An interval "
                    "that crosses the line is no evidence of a difference, in either direction."
                ]
            ),
            page.Charts(
                shown,
                f"Mean and approximate {confidence} % interval, corrected for the number of "
                "comparisons. Filled circles are better, squares worse, hollow circles undecided; "
                "an arrow says that the interval goes on.",
            ),
            page.Details("The same in figures", [_difference_table(rows)]),
        ],
    )


def _forest(rows: Sequence[ResultRow], metric: _Metric) -> page.Chart | None:
    intervals = []
    labels = _short_labels(rows)
    for row in rows:
        mean, low, high = _interval(row, metric)
        if all(map(math.isfinite, (mean, low, high))):
            verdict = row["difference"][metric.name]["verdict"]
            text = difference(mean, low, high, metric.digits)
            intervals.append(charts.Interval(labels[row["name"]], mean, low, high, verdict, text))
    if not intervals:
        return None
    svg = charts.forest(
        intervals,
        axis=f"{metric.unit}; {metric.better} is better",
        key=f"difference-{metric.name}",
        title=f"{metric.title}: differences from cross entropy",
        description="; ".join(f"{i.label}: {i.text}, {VERDICTS[i.verdict]}" for i in intervals),
    )
    return page.Chart(metric.title, svg)


def _interval(row: ResultRow, metric: _Metric) -> tuple[float, float, float]:
    change = row["difference"][metric.name]
    mean, low, high = (metric.scale * to_float(change[part]) for part in ("mean", "low", "high"))
    return mean, low, high


def _short_labels(rows: Sequence[ResultRow]) -> dict[str, str]:
    """Return labels by name, without the parameters where that leaves them distinct."""
    short = [re.sub(r" \([^)]*\)", "", row["label"]) for row in rows]
    return {
        row["name"]: text if short.count(text) == 1 else row["label"]
        for row, text in zip(rows, short, strict=True)
    }


def _difference_table(rows: Iterable[ResultRow]) -> page.Table:
    def cell(row: ResultRow, metric: _Metric) -> page.Cell:
        mean, low, high = (number(value, metric.digits + 1) for value in _interval(row, metric))
        change = row["difference"][metric.name]
        p_value = number(change["p_value"], 4)
        p_value = "p < 0.0001" if p_value == "0.0000" else f"p = {p_value}"
        return page.Cell(f"{mean} [{low}, {high}]", f"{p_value}, {VERDICTS[change['verdict']]}")

    return page.Table(
        "Mean difference from cross entropy, its corrected interval, and the uncorrected p-value.",
        [
            page.Column("Trained with"),
            *(page.Column(metric.title, metric.unit) for metric in _METRICS),
        ],
        [page.Row(label(row), [cell(row, metric) for metric in _METRICS]) for row in rows],
    )


def learning_curves(results: Results) -> page.Section | None:
    """Lay out the learning curves; None if nothing was trained by epochs."""
    lines = {row["name"]: line for row in results["rows"] if (line := _curve(row)).y}
    if not lines:
        return None
    rows = [row for row in ranked(results) if row["name"] in lines]
    plain = baseline(results)["name"]
    limits = _limits(lines.values())
    shown = [
        page.Chart(
            label(row),
            charts.curve(
                lines[row["name"]],
                None if row["name"] == plain else lines.get(plain),
                limits=limits,
                key=f"curve-{index}",
                title=f"Learning curve of {row['label']}",
                description=f"Lowest validation log loss {min(lines[row['name']].y):.3f} bits.",
            ),
        )
        for index, row in enumerate(rows)
    ]
    return page.Section(
        "Learning curves",
        [
            page.Charts(
                shown,
                "Validation log loss in bits, after temperature, by epoch; mean over the splits "
                "at the learning rates chosen. Dashed: plain cross entropy. The dot marks the "
                "lowest point.",
                small=True,
            ),
            page.Details("What each candidate chose", [_choices(rows)]),
        ],
    )


def _curve(row: ResultRow) -> charts.Curve:
    """Return the points that are numbers; none for a yardstick."""
    values = map(to_float, row["curve"]["log_loss"])
    points = [
        (x, y) for x, y in zip(row["curve"]["epoch"], values, strict=True) if math.isfinite(y)
    ]
    return charts.Curve([x for x, _ in points], [y for _, y in points])


def _limits(curves: Iterable[charts.Curve]) -> tuple[float, float]:
    """From just under the lowest point to where most curves are after their first steps."""
    lines = list(curves)
    low = min(min(line.y) for line in lines)
    early = sorted(line.y[len(line.y) // 10] for line in lines)
    high = max(early[len(early) // 2], *(line.y[-1] for line in lines))
    return low - 0.08 * (high - low), high + 0.08 * (high - low) or 1.0


def _choices(rows: Iterable[ResultRow]) -> page.Table:
    def span(values: Sequence[float], digits: int) -> page.Cell:
        middle = sorted(values)[len(values) // 2]
        remark = f"{number(min(values), digits)} to {number(max(values), digits)}"
        return page.Cell(number(middle, digits), remark)

    return page.Table(
        "Median over the splits, and the range.",
        [
            page.Column("Trained with"),
            page.Column("Learning rate"),
            page.Column("Epoch"),
            page.Column("Temperature", "above 1: overconfident"),
        ],
        [
            page.Row(
                label(row),
                [
                    span(row["learning_rates"], 4),
                    span(row["epochs"], 0),
                    span(row["temperatures"], 2),
                ],
            )
            for row in rows
        ],
    )


def reliability(results: Results) -> page.Section:
    """Lay out the reliability of plain cross entropy and the best candidate."""
    plain, chosen = baseline(results), best(results)
    rows = [plain] if chosen is plain else [plain, chosen]
    shown = [
        page.Chart(
            f"{label(row)}, {when} temperature",
            charts.reliability(
                charts.Bins(**row["reliability"][when]),
                key=f"reliability-{row['name']}-{when}",
                title=f"Reliability of {row['label']} {when} temperature",
                description=_gap(row["reliability"][when]),
            ),
        )
        for row in rows
        for when in ("before", "after")
    ]
    told = results["protocol"]
    noisy = told["label_noise"] and not told["clean_validation"]
    return page.Section(
        "Can the probabilities be believed?",
        [
            page.Prose(
                [
                    "Of all predictions made with 80 % confidence, 80 % should be right. Points "
                    "under the diagonal are overconfident, points above it too modest. "
                    "Temperature, one number, moves them to where the validation rows want them.",
                    *([_NOISY] if noisy else []),
                ]
            ),
            page.Charts(
                shown,
                "Accuracy by confidence in 15 bins, all test rows together. The bars at the foot "
                "show where the predictions are.",
                small=True,
            ),
        ],
    )


def _gap(bins: Mapping[str, Any]) -> str:
    gaps = [
        (abs(float(c) - float(a)), c, a)
        for c, a, n in zip(bins["confidence"], bins["accuracy"], bins["count"], strict=True)
        if n
    ]
    _, confidence, accuracy = max(gaps)
    return (
        f"Furthest off at {percent(confidence, 0)} % confidence, "
        f"where {percent(accuracy, 0)} % are right."
    )
