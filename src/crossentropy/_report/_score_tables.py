"""The tables of scores on a report's page: all, beside a baseline, by group and by class."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from crossentropy import _page as page
from crossentropy._page.numbers import number, percent, to_float

from . import _pictures
from ._pictures import Results

_CLASSES = 50


class _Score(NamedTuple):
    """A score of the table of all."""

    name: str
    title: str
    unit: str
    scale: float = 1
    digits: int = 3


_SCORES = (
    _Score("log_loss", "Log loss", "bits"),
    _Score("base_rate_log_loss", "Base-rate entropy", "bits"),
    _Score("skill", "Skill", "%", 100, 1),
    _Score("perplexity", "Perplexity", "classes", 1, 2),
    _Score("brier", "Brier score", "0 to 2"),
    _Score("accuracy", "Accuracy", "%", 100, 2),
    _Score("balanced_accuracy", "Balanced accuracy", "%", 100, 2),
    _Score("roc_auc", "ROC AUC", "0 to 1", 1, 4),
    _Score("calibration_slope", "Calibration slope", "1 is right"),
    _Score("calibration_intercept", "Calibration intercept", "nats, 0 is right"),
    _Score("ece", "ECE", "%, 15 bins of equal width", 100, 2),
    _Score("ace", "Adaptive ECE", "%, 15 bins of equal mass", 100, 2),
    _Score("debiased", "Debiased calibration error", "%, root mean square", 100, 2),
    _Score("smooth", "Smooth ECE", "%", 100, 2),
    _Score("ks", "Kolmogorov–Smirnov", "%", 100, 2),
)


def against(results: Results) -> page.Section | None:
    """Lay out the comparison with a baseline; None without one."""
    told = results["baseline"]
    if told is None:
        return None
    shown = [score for score in _SCORES if score.name in told["scores"]]
    table = page.Table(
        "Scores of both on all rows.",
        [page.Column("Score"), page.Column("This model"), page.Column(told["name"])],
        [
            page.Row(
                score.title,
                [_cell(results["scores"], score), _cell(told["scores"], score)],
                remark=score.unit,
            )
            for score in shown
        ],
    )
    return page.Section(f"Against {told['name']}", [_pictures.against(results), table])


def _cell(scores: Mapping[str, Any], score: _Score) -> page.Cell:
    remark = around(scores, score.name, score.scale, score.digits)
    return page.Cell(number(score.scale * to_float(scores[score.name]), score.digits), remark)


def all_scores(results: Results) -> page.Table:
    """Lay out every score."""
    shown = [score for score in _SCORES if score.name in results["scores"]]
    return page.Table(
        "Small print in the cells: 95 % intervals.",
        [page.Column("Score"), page.Column("Value")],
        [page.Row(s.title, [_cell(results["scores"], s)], remark=s.unit) for s in shown],
    )


def groups(results: Results) -> page.Section | None:
    """Lay out the scores by group; None where there are none."""
    told = results["groups"]
    if told is None:
        return None
    most = max((to_float(g["log_loss"]) for g in told), default=1.0)
    rows = [
        page.Row(
            one["name"],
            [
                page.Cell(f"{one['rows']:,}"),
                page.Cell(
                    number(one["log_loss"]), around(one, "log_loss"), _bar(one["log_loss"], most)
                ),
                page.Cell(number(one["base_rate_log_loss"])),
                page.Cell(percent(one["accuracy"]), around(one, "accuracy", 100, 1)),
                page.Cell(
                    percent(one["ece"]),
                    "by chance {} to {}".format(*(percent(e) for e in one["calibrated_ece"])),
                ),
            ],
        )
        for one in sorted(told, key=lambda one: -to_float(one["log_loss"]))
    ]
    columns = [
        page.Column("Group"),
        page.Column("Rows"),
        page.Column("Log loss", "bits"),
        page.Column("Base-rate entropy", "bits"),
        page.Column("Accuracy", "%"),
        page.Column("ECE", "%"),
    ]
    return page.Section(
        "By group", [page.Table("Groups, the highest log loss first.", columns, rows)]
    )


def _bar(value: Any, most: float) -> float | None:
    value = to_float(value)
    return value / most if 0 <= value <= most and 0 < most < float("inf") else None


def classes(results: Results) -> page.Section:
    """Lay out the scores by class."""
    told, names = results["per_class"], results["classes"]
    order = sorted(range(len(names)), key=lambda k: -(to_float(told["log_loss"][k]) or 0.0))
    order = [k for k in order if told["support"][k]] + [k for k in order if not told["support"][k]]
    finite = [v for v in map(to_float, told["log_loss"]) if v < float("inf")]
    most = max(finite, default=1.0)
    rows = [
        page.Row(
            names[k],
            [
                page.Cell(f"{told['support'][k]:,.0f}"),
                page.Cell(number(told["log_loss"][k]), bar=_bar(told["log_loss"][k], most)),
                page.Cell(percent(told["recall"][k])),
                page.Cell(percent(told["precision"][k])),
                page.Cell(percent(told["share"][k], 2)),
                page.Cell(percent(told["predicted_share"][k], 2)),
            ],
        )
        for k in order[:_CLASSES]
    ]
    table = page.Table(
        "Classes, the highest log loss first."
        + (f" The first {_CLASSES} of {len(names)}." if len(names) > _CLASSES else ""),
        [
            page.Column("Class"),
            page.Column("Rows"),
            page.Column("Log loss", "bits"),
            page.Column("Recall", "%"),
            page.Column("Precision", "%"),
            page.Column("Share", "%"),
            page.Column("Predicted share", "%"),
        ],
        rows,
    )
    return page.Section("By class", [table])


def around(scores: Mapping[str, Any], name: str, scale: float = 1, digits: int = 3) -> str:
    """Say a score's interval, where it has one."""
    if name not in scores["intervals"]:
        return ""
    low, high = (to_float(end) for end in scores["intervals"][name])
    low = max(low, 0.0)  # of few rows, where the normal interval of a loss reaches below
    return f"{number(scale * low, digits)} to {number(scale * high, digits)}"
