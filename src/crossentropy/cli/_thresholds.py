"""Thresholds that a report must keep, for continuous integration."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import click

from crossentropy._errors import closest
from crossentropy._page.numbers import number, to_float

_NATS = math.log(2)
_SCORES = (
    "log_loss",
    "skill",
    "brier",
    "accuracy",
    "balanced_accuracy",
    "roc_auc",
    "ece",
    "ace",
    "debiased",
    "mce",
    "smooth",
    "ks",
    "kuiper",
)


class Threshold(NamedTuple):
    """A bound of a score; losses in bits."""

    score: str
    bound: float
    is_least: bool
    given: str


def read_thresholds(most: Sequence[str], least: Sequence[str]) -> list[Threshold]:
    """Read ``score=value``; a log loss needs its unit.

    Parameters
    ----------
    most, least
        What was given to --max and to --min.
    """
    return [
        *(_read(text, "--max", is_least=False) for text in most),
        *(_read(text, "--min", is_least=True) for text in least),
    ]


def _read(text: str, option: str, *, is_least: bool) -> Threshold:
    score, _, value = (part.strip() for part in text.partition("="))
    if score not in _SCORES:
        raise click.UsageError(f"{option} {text!r}: no score {score!r}; {closest(score, _SCORES)}")
    match = re.fullmatch(r"([-+.\deE]+?)\s*(bits?|nats?|%)?", value)
    try:
        bound = float(match[1]) if match else math.nan
    except ValueError:
        bound = math.nan
    unit = (match[2] or "") if match else ""
    losses = ("bit", "bits", "nat", "nats")
    if not math.isfinite(bound) or (unit in losses) != (score == "log_loss"):
        example = "log_loss=0.5bits" if score == "log_loss" else f"{score}=0.9"
        raise click.UsageError(f"{option} {text!r}: wanted a number and its unit, as in {example}")
    scale = {"nat": 1 / _NATS, "nats": 1 / _NATS, "%": 0.01}.get(unit, 1.0)
    return Threshold(score, bound * scale, is_least, text)


def crossed(thresholds: Sequence[Threshold], scores: Mapping[str, Any]) -> list[str]:
    """Say of each threshold that is not kept by how much; what cannot be said is not kept.

    Parameters
    ----------
    thresholds
        From `read_thresholds`.
    scores
        The scores of a report.
    """
    told = []
    for threshold in thresholds:
        value = to_float(scores.get(threshold.score))
        kept = value >= threshold.bound if threshold.is_least else value <= threshold.bound
        if not kept:
            option = "--min" if threshold.is_least else "--max"
            unit = " bits" if threshold.score == "log_loss" else ""
            told.append(
                f"{threshold.score} is {number(value, 4)}{unit}: {option} {threshold.given}"
            )
    return told
