"""The page of a report, from its results: what is shown, and in which order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from crossentropy import _page as page
from crossentropy._page.numbers import number, percent, to_float

from . import _pictures
from ._pictures import Results
from ._words import CALIBRATORS, DEFINITIONS, MEASURES, headline, method, notice, parts

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
        _against(results),
        _groups(results),
        _classes(results),
        _confusion(results),
        _rows(results),
        page.Section("All scores", [page.Details("As a table", [_scores(results)])]),
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
    facts = [("Log loss", f"{number(scores['log_loss'])} bits", _around(scores, "log_loss"))]
    split = parts(results)
    if split is not None:
        span = f"{number(split.low)} to {number(split.high)}"
        facts.append(("Of it, calibration", f"{number(split.calibration)} bits", span))
        facts.append(("Of it, refinement", f"{number(split.refinement)} bits", "at most"))
    facts.append(
        ("Base-rate entropy", f"{number(scores['base_rate_log_loss'])} bits", "the yardstick")
    )
    facts.append(
        ("Accuracy", f"{percent(scores['accuracy'])} %", _around(scores, "accuracy", 100, 1))
    )
    low, high = (percent(end) for end in scores["calibrated_ece"])
    facts.append(("ECE", f"{percent(scores['ece'])} %", f"by chance {low} to {high} %"))
    return facts


def _around(scores: Mapping[str, Any], name: str, scale: float = 1, digits: int = 3) -> str:
    if name not in scores["intervals"]:
        return ""
    low, high = (to_float(end) for end in scores["intervals"][name])
    low = max(low, 0.0)  # of few rows, where the normal interval of a loss reaches below
    return f"{number(scale * low, digits)} to {number(scale * high, digits)}"


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


def _against(results: Results) -> page.Section | None:
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
    remark = _around(scores, score.name, score.scale, score.digits)
    return page.Cell(number(score.scale * to_float(scores[score.name]), score.digits), remark)


def _scores(results: Results) -> page.Table:
    shown = [score for score in _SCORES if score.name in results["scores"]]
    return page.Table(
        "Small print in the cells: 95 % intervals.",
        [page.Column("Score"), page.Column("Value")],
        [page.Row(s.title, [_cell(results["scores"], s)], remark=s.unit) for s in shown],
    )


def _groups(results: Results) -> page.Section | None:
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
                    number(one["log_loss"]), _around(one, "log_loss"), _bar(one["log_loss"], most)
                ),
                page.Cell(number(one["base_rate_log_loss"])),
                page.Cell(percent(one["accuracy"]), _around(one, "accuracy", 100, 1)),
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


def _classes(results: Results) -> page.Section:
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
