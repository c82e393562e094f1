"""The sentences of a report, for its page and for the terminal."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from crossentropy._page.numbers import difference, number, percent, to_float

CALIBRATORS = {
    "none": "No calibration",
    "temperature": "Temperature scaling",
    "mixed temperature": "Temperature scaling, mixed",
    "vector": "Vector scaling",
    "matrix": "Matrix scaling",
    "platt": "Platt scaling",
    "quadratic": "Quadratic scaling",
    "beta": "Beta calibration",
}
MEASURES = {"won": "won back", "at_most": "at most", "held": "held by these rows"}


class Parts(NamedTuple):
    """A finite log loss and its parts, in bits."""

    loss: float
    calibration: float
    refinement: float
    entropy: float
    known: float
    low: float
    high: float


def parts(results: Mapping[str, Any]) -> Parts | None:
    """Split the log loss by the best calibrator; None where it is infinite or was not tried.

    Parameters
    ----------
    results
        What `Report.to_dict` returns.
    """
    scores, remedies = results["scores"], results["remedies"]
    loss, entropy = to_float(scores["log_loss"]), to_float(scores["base_rate_log_loss"])
    if remedies is None or not math.isfinite(loss):
        return None
    best = remedies["candidates"][0]
    gain, low, high = (to_float(best[name]) for name in ("gain", "low", "high"))
    return Parts(loss, gain, loss - gain, entropy, entropy - loss, low, high)


def headline(results: Mapping[str, Any]) -> tuple[str, str]:
    """Say what a reader takes away: how many bits are lost, and what could be won."""
    scores = results["scores"]
    entropy = to_float(scores["base_rate_log_loss"])
    base = f"Knowing the class frequencies alone costs {number(entropy)} bits"
    split = parts(results)
    if math.isinf(to_float(scores["log_loss"])):
        rows = _rows(scores["infinite_rows"])
        return (
            f"The log loss is infinite: {rows} their own label probability zero.",
            f"Without them it is {number(scores['finite_log_loss'])} bits a row. {base}.",
        )
    loss = f"A row costs {number(scores['log_loss'])} bits"
    if split is None:
        return f"{loss}.", f"{base}; there are too few rows to say what calibration would win."
    verdict = _known(split)
    if split.low > 0:
        return (
            f"{loss}, of which calibration would win back {number(split.calibration)}.",
            f"The other {number(split.refinement)} only a better model would win. {base}{verdict}",
        )
    return f"{loss}, and calibration would not measurably lower it.", f"{base}{verdict}"


def remedies(results: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Name each calibrator, with its log loss and gain in bits, the lowest loss first."""
    return [
        (
            CALIBRATORS.get(one["name"], one["name"]),
            number(one["log_loss"]),
            difference(one["gain"], one["low"], one["high"]),
        )
        for one in results["remedies"]["candidates"]
    ]


def _known(split: Parts) -> str:
    if split.entropy <= 0:
        return "."
    if split.known <= 0:
        return ": as probabilities, these predictions are no better than that."
    return f": the predictions know {percent(split.known / split.entropy, 0)} % of them."


def _rows(count: int) -> str:
    return "one row gives" if count == 1 else f"{count:,} rows give"


def notice(results: Mapping[str, Any]) -> str:
    """Say what a reader must know before trusting the rest."""
    told = []
    if results["in_sample"]:
        told.append(
            "These are predictions of the rows that the model was fitted on. On new rows it will "
            "do worse, and wrong labels cannot be told."
        )
    if results["held_rows"] < results["rows"]:
        told.append(sampled(results))
    if math.isinf(to_float(results["scores"]["log_loss"])):
        told.append(
            "A label that was given probability zero costs infinitely many bits. Where such rows "
            "enter differences and remedies, they count as 126 bits, float32's smallest normal "
            "number."
        )
    return " ".join(told)


def sampled(results: Mapping[str, Any]) -> str:
    """Say what is of all rows and what of a sample."""
    return (
        f"Scores, reliability, classes, confusion and groups are of all {results['rows']:,} rows. "
        f"Remedies, findings, single rows and differences are of a random sample of "
        f"{results['held_rows']:,} (seed {results['seed']})."
    )


def method(results: Mapping[str, Any]) -> list[str]:
    """Say how it was measured."""
    weighted = " Rows count by their weights." if results["weighted"] else ""
    kind = "logits" if results["input"] == "logits" else "probabilities"
    return [
        f"{results['rows']:,} rows of {kind} were scored exactly: nothing is clipped.{weighted}",
        "Calibration is what the best of several calibrators wins, by log loss, each fitted on "
        "four fifths of the rows and measured on the others in turn. Refinement is what remains: "
        "an upper bound of what no recalibration can win. The best of several is chosen on the "
        "rows that it is measured on, which flatters it by little.",
        f"Intervals are at {percent(results['level'], 0)} %: paired bootstraps over rows for "
        "differences and gains, Wilson's for shares. They take rows as independent.",
        "Row numbers count from 1, the header left out.",
    ]


DEFINITIONS = [
    ("Bit", "Half the probability given to the truth is one bit more. 1 bit is 0.693 nats."),
    (
        "Log loss",
        "Mean of −log₂ of the probability that each row's label was given; cross entropy of "
        "labels and predictions. Proper: honest probabilities have the lowest.",
    ),
    (
        "Base-rate entropy",
        "The log loss of predicting every class at its share of the rows, for every row.",
    ),
    (
        "Calibration",
        "The part of the log loss that a change of the probabilities, without looking at the rows "
        "again, wins back. Of calibrated predictions made at 80 %, 80 % are right.",
    ),
    ("Refinement", "The rest of the log loss; only a model that knows more would win it."),
    (
        "ECE",
        "Expected calibration error: how far confidence and accuracy are apart, mean over 15 bins. "
        "Biased upwards, so the band of what calibrated predictions would show stands beside it. "
        "Not proper: never choose by it.",
    ),
    ("Smooth ECE", "The same without bins: residuals smoothed at the width of their own size."),
    ("Brier score", "Mean squared difference from the label, summed over classes: 0 to 2."),
    ("Skill", "1 − log loss / base-rate entropy: the share of the entropy that is explained."),
    ("Confidence", "The probability of the most probable class."),
    (
        "Suspicious row",
        "A row confidently of another class than its label, by confident learning. It needs "
        "out-of-sample probabilities, and cannot tell a wrong label from a hard row.",
    ),
    (
        "Calibration slope and intercept",
        "Of two classes: the line of true log odds over predicted ones. 1 and 0 are right; a "
        "slope below 1 is overconfidence.",
    ),
]
