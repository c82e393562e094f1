"""The page of a report, from its results: what is shown, and in which order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from crossentropy import _page as page
from crossentropy._page.numbers import number, percent, to_float

from . import _pictures, _score_tables
from ._pictures import Results
from ._words import CALIBRATORS, DEFINITIONS, MEASURES, headline, method, notice, parts


def report_page(results: Results, command: str | None = None) -> page.Page:
    """Lay out the page of a report.

    Parameters
    ----------
    results
        What `Report.to_dict` returns.
    command
        The command line that made it.
    """
    first, rest = headline(results)
    sections = [
        _bits(results),
        _believed(results),
        _findings(results),
        _score_tables.against(results),
        _score_tables.groups(results),
        _score_tables.classes(results),
        _confusion(results),
        _rows(results),
        page.Section(
            "All scores", [page.Details("As a table", [_score_tables.all_scores(results)])]
        ),
        page.Section(
            "How this was measured",
            [
                page.Prose(method(results)),
                page.Details("Definitions", [page.Definitions(DEFINITIONS)]),
            ],
        ),
    ]
    count = len(results["classes"])
    return page.Page(
        title=f"How good are the probabilities in {results['name']}?",
        kicker=f"How good are the probabilities in {results['name']}? "
        f"{results['rows']:,} rows, {count} classes.",
        headline=first,
        rest=rest,
        notice=notice(results),
        facts=_facts(results),
        sections=[section for section in sections if section is not None],
        footer=[
            f"Made by crossentropy {results['version']}.",
            *([f"$ {command}"] if command else []),
        ],
    )


def _facts(results: Results) -> list[tuple[str, str, str]]:
    scores = results["scores"]
    facts = [
        ("Log loss", f"{number(scores['log_loss'])} bits", _score_tables.around(scores, "log_loss"))
    ]
    split = parts(results)
    if split is not None:
        span = f"{number(split.low)} to {number(split.high)}"
        facts.append(("Of it, calibration", f"{number(split.calibration)} bits", span))
        facts.append(("Of it, refinement", f"{number(split.refinement)} bits", "at most"))
    facts.append(
        ("Base-rate entropy", f"{number(scores['base_rate_log_loss'])} bits", "the yardstick")
    )
    facts.append(
        (
            "Accuracy",
            f"{percent(scores['accuracy'])} %",
            _score_tables.around(scores, "accuracy", 100, 1),
        )
    )
    low, high = (percent(end) for end in scores["calibrated_ece"])
    facts.append(("ECE", f"{percent(scores['ece'])} %", f"by chance {low} to {high} %"))
    return facts


def _believed(results: Results) -> page.Section:
    return page.Section(
        "Can the probabilities be believed?",
        [
            page.Prose(
                [
                    "Of all predictions made with 80 % confidence, 80 % should be right. Points "
                    "under the diagonal are overconfident, points above it too modest; inside the "
                    "grey they may be calibrated."
                ]
            ),
            _pictures.reliability(results),
        ],
    )


def _findings(results: Results) -> page.Section:
    told = results["diagnosis"]
    blocks: list[page.Block] = []
    found = [one for one in told["findings"] if one["measure"] != "held"]
    held = [one for one in told["findings"] if one["measure"] == "held"]
    if found:
        blocks.append(page.Cards([_card(one) for one in found]))
    else:
        blocks.append(page.Prose(["Nothing that the data are sure of."]))
    if held:
        cards = page.Cards([_card(one) for one in held])
        blocks.append(page.Details("Rows and classes that hold the bits", [cards]))
    if told["refused"]:
        blocks.append(page.Prose([text[:1].upper() + text[1:] + "." for text in told["refused"]]))
    if told["unconfirmed"]:
        cards = page.Cards([_card(one, sure=False) for one in told["unconfirmed"]])
        blocks.append(page.Details("Looked for, and may be nothing", [cards]))
    return page.Section("What is wrong, and what helps", blocks)


def _card(finding: Mapping[str, Any], *, sure: bool = True) -> page.Card:
    low, high = finding["interval"]
    won = sure and finding["measure"] == "won"
    return page.Card(
        finding["what"],
        f"{number(finding['bits'])} bits",
        f"{MEASURES[finding['measure']]}; {number(low)} to {number(high)}",
        [
            page.Prose([finding["remedy"], f"How sure: {finding['how_sure']}"]),
            page.Details("The code for it", [page.Code(finding["code"])]),
        ],
        "better" if won else "",
    )


def _bits(results: Results) -> page.Section | None:
    told, chart = results["remedies"], _pictures.bits(results)
    if chart is None:
        return None
    best = told["candidates"][0]
    name = CALIBRATORS.get(best["name"], best["name"])
    if best["name"] == "none":
        words = "No calibrator does better than the predictions as they are."
    elif to_float(best["low"]) > 0:
        words = (
            f"{name} has the lowest log loss on rows that it was not fitted on, "
            f"{number(best['log_loss'])} bits. The command crossentropy calibrate fits and applies "
            "it."
        )
    else:
        words = f"{name} comes first, but its gain may be luck: its interval reaches zero."
    rows = [
        page.Row(
            CALIBRATORS.get(one["name"], one["name"]),
            [
                page.Cell(number(one["log_loss"])),
                page.Cell(f"{number(one['gain'])} [{number(one['low'])}, {number(one['high'])}]"),
            ],
            badge="lowest" if one is best else "",
        )
        for one in told["candidates"]
    ]
    table = page.Table(
        f"Calibrators, cross-fitted in {told['folds']} folds.",
        [
            page.Column("Calibrator"),
            page.Column("Log loss", "bits"),
            page.Column("Won", "bits, 95 % interval"),
        ],
        rows,
    )
    return page.Section(
        "Where the bits go",
        [page.Prose([words]), chart, page.Details("Calibrators, as a table", [table])],
    )


def _confusion(results: Results) -> page.Section | None:
    chart, pairs = _pictures.confusion(results), results["diagnosis"]["confused"]
    blocks: list[page.Block] = [] if chart is None else [chart]
    if pairs and len(results["classes"]) > 2:
        rows = [
            page.Row(
                f"{pair['first']} and {pair['second']}",
                [
                    page.Cell(
                        number(pair["bits"]),
                        "{} to {}".format(*(number(end) for end in pair["interval"])),
                    ),
                    page.Cell(f"{pair['first_as_second']:,.0f}"),
                    page.Cell(f"{pair['second_as_first']:,.0f}"),
                ],
            )
            for pair in pairs
        ]
        columns = [
            page.Column("Classes"),
            page.Column("Bits", "per row of all, to tell them apart"),
            page.Column("First as second", "rows"),
            page.Column("Second as first", "rows"),
        ]
        blocks.append(page.Table("Pairs that cost most.", columns, rows))
    return page.Section("What is taken for what", blocks) if blocks else None


def _rows(results: Results) -> page.Section:
    told = results["diagnosis"]
    blocks: list[page.Block] = []
    noise = told["noise"]
    if noise is not None and noise["rows"]:
        low, high = (percent(end) for end in noise["interval"])
        blocks.append(
            page.Prose(
                [
                    f"{noise['confident_errors']:,} rows are confidently of another class than "
                    f"their label: about {percent(noise['noise_rate'])} % of the labels "
                    f"({low} to {high} %) look wrong. This assumes that the model was not fitted "
                    "on these rows, and it cannot tell a wrong label from a hard row: look at them."
                ]
            )
        )
        blocks.append(
            page.Table(
                "The labels most likely wrong.",
                [page.Column("Row"), *_PAIR, page.Column("Suggested"), page.Column("Its p", "%")],
                _listed(noise["rows"], "suggested"),
            )
        )
    table = page.Table(
        f"The dearest hundredth of the rows holds {percent(told['share_of_dearest'], 0)} % of the "
        "log loss.",
        [
            page.Column("Row"),
            *_PAIR,
            page.Column("Predicted"),
            page.Column("Its p", "%"),
            page.Column("Costs", "bits"),
        ],
        _listed(told["costly"], "predicted"),
    )
    blocks.append(page.Details("The rows that cost most", [table]))
    return page.Section("Rows to look at", blocks)


_PAIR = (page.Column("Label"), page.Column("Its p", "%"))


def _listed(rows: Iterable[Mapping[str, Any]], other: str) -> Sequence[page.Row]:
    return [
        page.Row(
            f"{one['row'] + 1:,}",
            [
                page.Cell(one["given"]),
                page.Cell(percent(one["p_given"])),
                page.Cell(one[other]),
                page.Cell(percent(one[f"p_{other}"])),
                *([page.Cell(number(one["bits"], 1))] if "bits" in one else []),
            ],
        )
        for one in rows
    ]
