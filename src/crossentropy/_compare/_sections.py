"""The page of a comparison, from its results: what is shown, and in which words."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from crossentropy import _page as page
from crossentropy._compare._wording import definitions, protocol
from crossentropy._page import charts
from crossentropy._page.numbers import difference, number, percent, to_float

Results: TypeAlias = Mapping[str, Any]
ResultRow: TypeAlias = Mapping[str, Any]

_VERDICTS = {
    "better": "better",
    "worse": "worse",
    "undecided": "no measurable difference",
    "identical": "identical",
}
_MODEL = "model/"
_WINNER = (
    "The winner has the lowest log loss after temperature among those measurably better than "
    "plain cross entropy. Others that stand higher may owe it to luck."
)
_NO_WINNER = (
    "None is measurably better than plain cross entropy; those that stand higher may owe it to "
    "luck."
)
_NOISY = (
    "Here the validation labels are noisy and the test labels are not. Temperature makes the "
    "predictions as modest as the noise asks, which is too modest for clean labels, and most so "
    "for the losses that saw through the noise. Their scores before temperature show it."
)


def compare_page(results: Results) -> page.Page:
    """Lay out the page of a comparison.

    Parameters
    ----------
    results
        What `CompareResult.to_dict` returns.
    """
    data = results["data"]
    shape = f"{data['rows']:,} rows, {data['features']:,} features, {len(data['classes'])} classes"
    sections = [
        _scores(results),
        _code(results),
        _differences(results),
        _learning_curves(results),
        _reliability(results),
        _protocol(results),
        page.Section("What the words mean", [page.Details("Definitions", [_definitions(results)])]),
    ]
    headline, separator, rest = results["verdict"].partition("; ")
    return page.Page(
        title=f"Which loss for {data['name']}?",
        kicker=f"Which cross-entropy loss does {data['name']} want? {shape}.",
        headline=headline + separator.rstrip(),
        rest=rest,
        notice=_notice(results["protocol"]),
        facts=_facts(results),
        sections=[section for section in sections if section is not None],
        footer=[
            f"Made by crossentropy {results['version']}.",
            *([f"$ {results['command']}"] if results["command"] else []),
        ],
    )


def ranked(results: Results) -> list[ResultRow]:
    """Return the rows by log loss after temperature, the lowest first."""
    return sorted(results["rows"], key=lambda row: float(_mean(row, "log_loss")))


def _label(row: ResultRow) -> str:
    """Return the label, its parameters kept on one line."""
    return str(row["label"]).replace(" = ", "\u00a0=\u00a0")


def _mean(row: ResultRow, metric: str) -> Any:
    return row["scores"][metric]["mean"]


def _baseline(results: Results) -> ResultRow:
    return next(row for row in results["rows"] if row["kind"] == "baseline")


def _best(results: Results) -> ResultRow:
    """Return the winner or, where no one won, the trained candidate with the lowest loss."""
    trained = [row for row in ranked(results) if row["kind"] != "yardstick"]
    return next((row for row in trained if row["name"] == results["winner"]), trained[0])


def _notice(protocol: Mapping[str, Any]) -> str:
    if not protocol["interrupted"]:
        return ""
    return (
        f"The study was interrupted after {protocol['splits_done']} of "
        f"{protocol['splits_planned']} splits. What follows rests on those alone."
    )


def _facts(results: Results) -> list[tuple[str, str, str]]:
    best = _best(results)
    entropy = results["data"]["base_rate_entropy"]
    won = best["name"] == results["winner"]
    plain = _mean(_baseline(results), "log_loss")
    return [
        (
            "Base-rate entropy",
            f"{number(entropy, 2)} bits",
            "left by knowing class frequencies only",
        ),
        ("Cross entropy", f"{number(plain, 3)} bits", "log loss after temperature"),
        (
            "Winner" if won else "Lowest, but not measurably",
            f"{number(_mean(best, 'log_loss'), 3)} bits",
            best["label"],
        ),
        ("Accuracy", f"{percent(_mean(best, 'accuracy'))} %", best["label"]),
    ]


def _scores(results: Results) -> page.Section:
    entropy = results["data"]["base_rate_entropy"]
    columns = [
        page.Column("Log loss", "bits, after temperature"),
        page.Column("Against cross entropy", "bits, after temperature"),
        page.Column("Log loss", "bits, before temperature"),
        page.Column("Accuracy", "%"),
        page.Column("Balanced accuracy", "%"),
        page.Column("Brier score", "no unit"),
        page.Column("ECE", "%"),
    ]
    has_auc = all("roc_auc" in row["scores"] for row in results["rows"])
    rows = []
    for row in ranked(results):
        cells = [
            _score(row, "log_loss", bar=_share(_mean(row, "log_loss"), entropy)),
            _verdict(row),
            _score(row, "log_loss_raw"),
            _score(row, "accuracy", 100, 1),
            _score(row, "balanced_accuracy", 100, 1),
            _score(row, "brier"),
            _score(row, "ece", 100, 1),
            *([_score(row, "roc_auc")] if has_auc else []),
        ]
        badge = "★ winner" if row["name"] == results["winner"] else ""
        remark = "yardstick, not a loss" if row["kind"] == "yardstick" else ""
        rows.append(page.Row(_label(row), cells, remark, badge))
    return page.Section(
        "The scores",
        [
            page.Prose(
                [
                    "Log loss is the price of the predicted probabilities: lower is better, and a "
                    f"model that knows nothing but the class frequencies pays {number(entropy)} "
                    "bits a row. The bar shows how much of that is still paid. Small print is the "
                    "standard deviation over the splits.",
                    _WINNER if results["winner"] else _NO_WINNER,
                ]
            ),
            page.Table(
                "Every candidate, the lowest log loss after temperature first.",
                [page.Column("Trained with"), *columns, *([page.Column("ROC AUC")] * has_auc)],
                rows,
            ),
        ],
    )


def _score(
    row: ResultRow, metric: str, scale: float = 1, digits: int = 3, bar: float | None = None
) -> page.Cell:
    mean, sd = (scale * to_float(row["scores"][metric][name]) for name in ("mean", "sd"))
    remark = "" if math.isnan(sd) else f"± {number(sd, digits)}"
    if math.isinf(mean) and row["infinite_row"] is not None:
        remark = f"in row {row['infinite_row'] + 1}"
    return page.Cell(number(mean, digits), remark, bar)


def _share(value: Any, whole: float) -> float:
    return min(float(value) / whole, 1.0) if whole else 0.0


def _verdict(row: ResultRow) -> page.Cell:
    if "difference" not in row:
        return page.Cell("0", "the baseline")
    change = row["difference"]["log_loss"]
    tone = change["verdict"] if change["verdict"] in ("better", "worse") else ""
    text = difference(change["mean"], change["low"], change["high"])
    return page.Cell(text, _VERDICTS[change["verdict"]], tone=tone)


def _differences(results: Results) -> page.Section | None:
    rows = [row for row in ranked(results) if row["kind"] in ("loss", "corrected")]
    shown = [
        chart
        for chart in (
            _forest(rows, "log_loss", "Log loss after temperature", "bits; left is better", 1),
            _forest(rows, "log_loss_raw", "Log loss before temperature", "bits; left is better", 1),
            _forest(rows, "balanced_accuracy", "Balanced accuracy", "points; right is better", 100),
        )
        if chart is not None
    ]
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
                "comparisons. Filled circles are better, squares "
                "worse, hollow circles undecided; an arrow says that the interval goes on.",
            ),
            page.Details("The same in figures", [_difference_table(rows)]),
        ],
    )


def _forest(
    rows: Sequence[ResultRow], metric: str, title: str, axis: str, scale: float
) -> page.Chart | None:
    intervals = []
    labels = _short_labels(rows)
    for row in rows:
        change = row["difference"][metric]
        mean, low, high = (scale * to_float(change[name]) for name in ("mean", "low", "high"))
        if all(map(math.isfinite, (mean, low, high))):
            text = difference(mean, low, high, 2 if scale == 1 else 1)
            intervals.append(
                charts.Interval(labels[row["name"]], mean, low, high, change["verdict"], text)
            )
    if not intervals:
        return None
    description = "; ".join(f"{i.label}: {i.text}, {_VERDICTS[i.verdict]}" for i in intervals)
    svg = charts.forest(
        intervals,
        axis=axis,
        key=f"difference-{metric}",
        title=f"{title}: differences from cross entropy",
        description=description,
    )
    return page.Chart(title, svg)


def _short_labels(rows: Sequence[ResultRow]) -> dict[str, str]:
    """Return labels by name, without the parameters where that leaves them distinct."""
    short = [re.sub(r" \([^)]*\)", "", row["label"]) for row in rows]
    return {
        row["name"]: label if short.count(label) == 1 else row["label"]
        for row, label in zip(rows, short, strict=True)
    }


def _difference_table(rows: Iterable[ResultRow]) -> page.Table:
    metrics = {
        "log_loss": (page.Column("Log loss after temperature", "bits"), 1, 4),
        "log_loss_raw": (page.Column("Log loss before temperature", "bits"), 1, 4),
        "balanced_accuracy": (page.Column("Balanced accuracy", "points"), 100, 2),
    }

    def cell(change: Mapping[str, Any], scale: float, digits: int) -> page.Cell:
        mean, low, high = (
            number(scale * to_float(change[name]), digits) for name in ("mean", "low", "high")
        )
        p_value = max(float(change["p_value"]), 0.0001)
        sign = "p <" if p_value == 0.0001 else "p ="
        remark = f"{sign} {number(p_value, 4)}, {_VERDICTS[change['verdict']]}"
        return page.Cell(f"{mean} [{low}, {high}]", remark)

    return page.Table(
        "Mean difference from cross entropy, its corrected interval, and the uncorrected p-value.",
        [page.Column("Trained with"), *(column for column, _, _ in metrics.values())],
        [
            page.Row(
                row["label"],
                [
                    cell(row["difference"][metric], scale, digits)
                    for metric, (_, scale, digits) in metrics.items()
                ],
            )
            for row in rows
        ],
    )


def _learning_curves(results: Results) -> page.Section | None:
    rows = [row for row in ranked(results) if row.get("curve") and row["curve"]["epoch"]]
    if not rows:
        return None
    lines = {row["name"]: _curve(row) for row in rows}
    baseline = _baseline(results)["name"]
    limits = _limits(lines.values())
    shown = [
        page.Chart(
            _label(row),
            charts.curve(
                lines[row["name"]],
                None if row["name"] == baseline else lines.get(baseline),
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
    return charts.Curve(row["curve"]["epoch"], [float(y) for y in row["curve"]["log_loss"]])


def _limits(lines: Iterable[charts.Curve]) -> tuple[float, float]:
    """From just under the lowest point to where most curves are after their first steps."""
    lines = list(lines)
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
                row["label"],
                [
                    span(row["learning_rates"], 4),
                    span(row["epochs"], 0),
                    span(row["temperatures"], 2),
                ],
            )
            for row in rows
        ],
    )


def _reliability(results: Results) -> page.Section:
    baseline, best = _baseline(results), _best(results)
    rows = [baseline] if best is baseline else [baseline, best]
    shown = [
        page.Chart(
            f"{_label(row)}, {when} temperature",
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


def _code(results: Results) -> page.Section:
    name = "the winner" if results["winner"] else "plain cross entropy"
    blocks: list[page.Block] = [page.Code(results["code"])]
    if results["saved"]:
        where = f"A model trained so on all rows stands beside this page in {_MODEL}."
        blocks.append(page.Prose([where]))
    return page.Section(f"Train with {name}", blocks)


def _protocol(results: Results) -> page.Section:
    return page.Section("How this was measured", [page.Prose(protocol(results))])


def _definitions(results: Results) -> page.Definitions:
    return page.Definitions(definitions("roc_auc" in _baseline(results)["scores"]))
