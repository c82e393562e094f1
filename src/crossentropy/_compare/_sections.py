"""The page of a comparison, from its results: what is shown, and in which words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from crossentropy import _page as page
from crossentropy._compare import _pictures
from crossentropy._compare._ranking import ResultRow, Results, baseline, best, label, mean, ranked
from crossentropy._compare._wording import definitions, protocol
from crossentropy._page.numbers import difference, number, percent, to_float


class _Metric(NamedTuple):
    """A score with a column of its own."""

    name: str
    title: str
    unit: str
    scale: float = 1
    digits: int = 3


_METRICS = (
    _Metric("log_loss_raw", "Log loss", "bits, before temperature"),
    _Metric("accuracy", "Accuracy", "%", scale=100, digits=1),
    _Metric("balanced_accuracy", "Balanced accuracy", "%", scale=100, digits=1),
    _Metric("brier", "Brier score", "no unit"),
    _Metric("ece", "ECE", "%", scale=100, digits=1),
    _Metric("roc_auc", "ROC AUC", "no unit"),  # of two classes only
)
_WINNER = (
    "The winner has the lowest log loss after temperature among those measurably better than "
    "plain cross entropy. Others that stand higher may owe it to luck."
)
_NO_WINNER = (
    "None is measurably better than plain cross entropy; those that stand higher may owe it to "
    "luck."
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
        _pictures.differences(results),
        _pictures.learning_curves(results),
        _pictures.reliability(results),
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


def _notice(protocol: Mapping[str, Any]) -> str:
    if not protocol["interrupted"]:
        return ""
    return (
        f"The study was interrupted after {protocol['splits_done']} of "
        f"{protocol['splits_planned']} splits. What follows rests on those alone."
    )


def _facts(results: Results) -> list[tuple[str, str, str]]:
    chosen = best(results)
    entropy = results["data"]["base_rate_entropy"]
    won = chosen["name"] == results["winner"]
    plain = mean(baseline(results), "log_loss")
    return [
        (
            "Base-rate entropy",
            f"{number(entropy, 2)} bits",
            "left by knowing class frequencies only",
        ),
        ("Cross entropy", f"{number(plain, 3)} bits", "log loss after temperature"),
        (
            "Winner" if won else "Lowest, but not measurably",
            f"{number(mean(chosen, 'log_loss'), 3)} bits",
            chosen["label"],
        ),
        ("Accuracy", f"{percent(mean(chosen, 'accuracy'))} %", chosen["label"]),
    ]


def _scores(results: Results) -> page.Section:
    entropy = results["data"]["base_rate_entropy"]
    shown = [metric for metric in _METRICS if metric.name in baseline(results)["scores"]]
    rows = [
        page.Row(
            label(row),
            [_log_loss(row, entropy), _verdict(row), *(_score(row, metric) for metric in shown)],
            remark="yardstick, not a loss" if row["kind"] == "yardstick" else "",
            badge="★ winner" if row["name"] == results["winner"] else "",
        )
        for row in ranked(results)
    ]
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
                [
                    page.Column("Trained with"),
                    page.Column("Log loss", "bits, after temperature"),
                    page.Column("Against cross entropy", "bits, after temperature"),
                    *(page.Column(metric.title, metric.unit) for metric in shown),
                ],
                rows,
            ),
        ],
    )


def _log_loss(row: ResultRow, entropy: float) -> page.Cell:
    cell = _score(row, _Metric("log_loss", "", ""))
    return replace(cell, bar=_share(mean(row, "log_loss"), entropy))


def _score(row: ResultRow, metric: _Metric) -> page.Cell:
    score = row["scores"][metric.name]
    value, sd = (metric.scale * to_float(score[part]) for part in ("mean", "sd"))
    remark = "" if math.isnan(sd) else f"± {number(sd, metric.digits)}"
    if math.isinf(value) and row["infinite_row"] is not None:
        remark = f"in row {row['infinite_row'] + 1}"
    return page.Cell(number(value, metric.digits), remark)


def _share(value: float, whole: float) -> float | None:
    return None if math.isnan(value) else min(value / whole, 1.0)


def _verdict(row: ResultRow) -> page.Cell:
    if "difference" not in row:
        return page.Cell("0", "the baseline")
    change = row["difference"]["log_loss"]
    tone = change["verdict"] if change["verdict"] in ("better", "worse") else ""
    text = difference(change["mean"], change["low"], change["high"])
    return page.Cell(text, _pictures.VERDICTS[change["verdict"]], tone=tone)


def _code(results: Results) -> page.Section:
    name = "the winner" if results["winner"] else "plain cross entropy"
    blocks: list[page.Block] = [page.Code(results["code"])]
    if results["saved"]:
        where = "A model trained so on all rows stands beside this page in model/."
        blocks.append(page.Prose([where]))
    return page.Section(f"Train with {name}", blocks)


def _protocol(results: Results) -> page.Section:
    return page.Section("How this was measured", [page.Prose(protocol(results))])


def _definitions(results: Results) -> page.Definitions:
    return page.Definitions(definitions("roc_auc" in baseline(results)["scores"]))
