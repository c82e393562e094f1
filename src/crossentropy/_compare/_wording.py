"""The protocol of a comparison and its terms, in words for the page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from crossentropy._page.numbers import percent


def protocol(results: Mapping[str, Any]) -> list[str]:
    """Say in paragraphs how the study was made.

    Parameters
    ----------
    results
        What `CompareResult.to_dict` returns.
    """
    told = results["protocol"]
    return [
        _splits(told),
        _training(told),
        *([corruption] if (corruption := _corruption(told)) else []),
        _prior(told, results["data"]["classes"]),
        _statistics(told),
    ]


def _splits(told: Mapping[str, Any]) -> str:
    if told["test_rows"] is not None:
        return (
            f"Every candidate was trained {told['splits_done']} times, with a new start each "
            f"(seed {told['seed']}), and scored on the {told['test_rows']:,} rows of a separate "
            "file. Preparation of the columns was fitted on training rows only."
        )
    return (
        f"Every candidate was scored on rows that it had not seen: {told['folds']} folds, "
        f"repeated {told['repeats']} times with new folds and a new start (seed {told['seed']}), "
        f"{told['splits_done']} splits in all. Preparation of the columns was fitted on the "
        "training rows of each split only."
    )


def _training(told: Mapping[str, Any]) -> str:
    rates = ", ".join(f"{rate:g}" for rate in told["learning_rates"])
    return (
        "Within a split the training rows were divided once into a fitting and a validation part, "
        f"the same for all. Every loss trained the same head ({told['head']}) from the same start "
        f"for up to {told['epochs']} epochs, and chose its learning rate (of {rates}) and its "
        "epoch by validation log loss after temperature, so that no loss is judged by another's "
        "rules. The temperature was fitted on the validation rows, and drawn towards 1 so that it "
        "stays finite where classes separate perfectly."
    )


def _corruption(told: Mapping[str, Any]) -> str:
    parts = []
    if told["label_noise"]:
        where = "fitting rows only" if told["clean_validation"] else "fitting and validation rows"
        parts.append(
            f"{percent(told['label_noise'], 0)} % of the labels of the {where} were changed to "
            "another class at random."
        )
    if told["long_tail"]:
        parts.append(
            "Training rows were thinned out so that the most frequent class has "
            f"{told['long_tail']:g} times the rows of the rarest."
        )
    return " ".join([*parts, "Test rows were left as they are."]) if parts else ""


def _prior(told: Mapping[str, Any], classes: list[str]) -> str:
    text = (
        "Losses that weight classes or shift logits learn another class prior than the data's. "
        "They are shown as trained and, where it says corrected, after exact correction of the "
        "prior; so is plain cross entropy."
    )
    if told["deploy_prior"] is None:
        thinned = " before thinning" if told["long_tail"] else ""
        return f"{text} The prior corrected to is that of the training data{thinned}."
    prior = ", ".join(
        f"{label} {percent(share)} %"
        for label, share in zip(classes, told["deploy_prior"], strict=True)
    )
    return f"{text} The prior corrected to, and that test rows are weighted to, is {prior}."


def _statistics(told: Mapping[str, Any]) -> str:
    if told["test_rows"] is not None:
        variance = "they show how much the choice of test rows matters"
    else:
        variance = (
            "splits share training rows, which the Nadeau–Bengio variance allows for but cannot "
            "undo"
        )
    return (
        f"Intervals are approximate: {variance}. {told['comparisons']} candidates were compared "
        "with cross entropy, and intervals and verdicts are corrected for that many by Holm's "
        f"procedure at {percent(told['confidence'], 0)} % confidence: an interval leaves out zero "
        "exactly where a candidate is called better or worse. An infinite log loss excludes a "
        "candidate from winning."
    )


def definitions(roc_auc: bool) -> list[tuple[str, str]]:
    """Return the terms of the page with their meaning.

    Parameters
    ----------
    roc_auc
        Whether the page shows ROC AUC.
    """
    terms = [
        (
            "Log loss, in bits",
            "Minus the base-2 logarithm of the probability given to what happened, averaged over "
            "rows; cross entropy by its other name. One bit is the price of having given the truth "
            "one half. One bit is 0.693 nats, the unit that training losses are usually in.",
        ),
        (
            "Base-rate entropy",
            "The log loss of predicting the class frequencies for every row. What a model saves "
            "against it is what its features tell about the label.",
        ),
        (
            "Temperature",
            "One number that all logits are divided by. It changes how sure a model is, never "
            "which class it puts first. Above 1 the model was overconfident.",
        ),
        (
            "Difference, ± and interval",
            "The candidate's score minus that of plain cross entropy on the same split, averaged. "
            "± is half the width of the interval.",
        ),
        (
            "Nadeau–Bengio variance",
            "A correction for the overlap of training sets between folds, without which intervals "
            "are far too narrow.",
        ),
        (
            "Holm's correction",
            "Among many candidates one looks better by luck. Holm's procedure asks more of each, "
            "and widens its interval, so that the chance of even one false verdict stays small.",
        ),
        ("Balanced accuracy", "The accuracy within each class, averaged over classes."),
        (
            "Brier score",
            "The squared distance between predicted probabilities and what happened. Lower is "
            "better.",
        ),
        (
            "ECE",
            "Expected calibration error: the gap between confidence and accuracy, averaged over 15 "
            "bins of equal width. It is biased upwards in small data and chooses no winner here.",
        ),
    ]
    if roc_auc:
        meaning = "The chance that a row of the second class is ranked above one of the first."
        terms.append(("ROC AUC", meaning))
    return terms
