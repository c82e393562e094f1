"""What a person sees in the terminal: the table of a comparison, the summary of a report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from crossentropy._optional import require
from crossentropy._page.numbers import difference, number, percent

if TYPE_CHECKING:
    from rich.console import Console

# Where output is not a terminal there is no width to respect.
_PLAIN_WIDTH = 120


def console(*, stderr: bool = False) -> Console:
    """Return a console that leaves text as it is: no markup, no highlighting."""
    make = require("rich.console", "cli").Console
    result: Console = make(stderr=stderr, markup=False, highlight=False, emoji=False)
    if not result.is_terminal:
        result.width = _PLAIN_WIDTH
    return result


def show(results: Mapping[str, Any]) -> None:
    """Print the table of a comparison, the lowest log loss first, and the verdict."""
    from crossentropy._compare._ranking import ranked

    simple = require("rich.box", "cli").SIMPLE_HEAD
    table = require("rich.table", "cli").Table(box=simple, padding=(0, 1, 0, 0))
    table.add_column("trained with")
    for heading, justify in (
        ("log loss\nbits", "right"),
        ("difference\nbits", "right"),
        ("", "left"),
        ("before\nbits", "right"),
        ("bal. acc.\n%", "right"),
    ):
        table.add_column(heading, justify=justify, no_wrap=True)
    for row in ranked(results):
        won = row["name"] == results["winner"]
        mean = {name: score["mean"] for name, score in row["scores"].items()}
        change, verdict = _against(row)
        table.add_row(
            row["label"],
            number(mean["log_loss"]),
            change,
            f"{verdict} ★" if won else verdict,
            number(mean["log_loss_raw"]),
            percent(mean["balanced_accuracy"]),
            style="bold" if won else "dim" if row["kind"] == "yardstick" else "",
        )
    out = console()
    out.print(table)
    out.print(
        "Log loss after temperature scaling, its difference from cross entropy, log loss before "
        "temperature, balanced accuracy; ★ the winner. Knowing class frequencies only costs "
        f"{number(results['data']['base_rate_entropy'])} bits."
    )
    out.print()
    out.print(require("rich.text", "cli").Text(results["verdict"], style="bold"))


def _against(row: Mapping[str, Any]) -> tuple[str, str]:
    if "difference" not in row:
        return "", "baseline"
    change = row["difference"]["log_loss"]
    return difference(change["mean"], change["low"], change["high"]), change["verdict"]


def show_report(results: Mapping[str, Any]) -> None:
    """Print the headline of a report, its findings and its remedies."""
    from crossentropy._report._words import MEASURES, headline, notice, remedies

    text = require("rich.text", "cli").Text
    out = console()
    first, rest = headline(results)
    out.print()
    out.print(text(first, style="bold"))
    out.print(rest)
    if told := notice(results):
        out.print(text(f"Note: {told}", style="yellow"))
    out.print(_report_scores(results["scores"]))
    findings = results["diagnosis"]["findings"]
    if findings:
        table = _table(("found", "left"), ("bits", "right"), ("", "left"))
        for one in findings:
            table.add_row(one["what"], number(one["bits"]), MEASURES[one["measure"]])
        out.print(table)
        for one in findings:
            if one["measure"] == "at_most":
                out.print(text(f"At most {number(one['bits'])}: {one['how_sure']}", style="dim"))
    else:
        out.print("Nothing wrong that the data are sure of.")
    if results["remedies"]:
        table = _table(("calibrator, cross-fitted", "left"), ("bits", "right"), ("won", "right"))
        for name, loss, gain in remedies(results):
            table.add_row(name, loss, gain)
        out.print(table)


def _report_scores(scores: Mapping[str, Any]) -> Any:
    shown = [
        ("log loss", f"{number(scores['log_loss'])} bits"),
        ("base-rate entropy", f"{number(scores['base_rate_log_loss'])} bits"),
        ("accuracy", f"{percent(scores['accuracy'])} %"),
        ("Brier score", number(scores["brier"])),
        (
            "ECE",
            "{} % (by chance {} to {} %)".format(
                percent(scores["ece"]), *map(percent, scores["calibrated_ece"])
            ),
        ),
        *(
            (name.replace("_", " "), number(scores[name]))
            for name in ("roc_auc", "calibration_slope", "calibration_intercept")
            if name in scores
        ),
    ]
    table = require("rich.table", "cli").Table.grid(padding=(0, 3, 0, 0))
    for name, value in shown:
        table.add_row(name, value)
    return table


def _table(*columns: tuple[str, str]) -> Any:
    simple = require("rich.box", "cli").SIMPLE_HEAD
    table = require("rich.table", "cli").Table(box=simple, padding=(0, 1, 0, 0))
    for heading, justify in columns:
        table.add_column(heading, justify=justify)
    return table
