"""Findings: each part of a diagnosis in words, with its bits, its remedy and the code for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ._confidence import Confidence
from ._confusion import ConfusedPair
from ._costly import CostlyRows, dearest_hundredth
from ._examine import BIT, Examined
from ._imbalance import Imbalance
from ._interval import Bootstrap
from ._noise import LabelNoise, relabelling_gain
from ._result import Finding

if TYPE_CHECKING:
    from ._code import Code

# A pair is worth a finding of its own from this share of the log loss on.
_NOTABLE = 0.05
_PAIRS = 3

_HELD_OUT = (
    "Fitted on four fifths of the rows and measured on the others, in turn; the interval is a "
    "paired bootstrap over rows."
)


class Parts(NamedTuple):
    """The numbers behind the findings."""

    confidence: Confidence
    imbalance: Imbalance
    noise: LabelNoise | None
    confused: tuple[ConfusedPair, ...]
    costly: CostlyRows


def findings(data: Examined, parts: Parts, code: Code, bootstrap: Bootstrap) -> Iterator[Finding]:
    """Everything that was looked for and has bits to show, sure or not."""
    yield _confidence(parts.confidence, code, mixed=parts.costly.zeros > 0)
    if parts.costly.zeros:
        yield _zeros(data, parts.costly, code, bootstrap)
    yield _bias(data, parts.imbalance, code)
    yield _imbalance(parts.imbalance, code)
    if parts.noise is not None and parts.noise.confident_errors:
        yield _noise(data, parts.noise, code, bootstrap)
    if data.classes > 2:
        least = _NOTABLE * data.average(data.bits)
        yield from (_pair(p, code) for p in parts.confused[:_PAIRS] if p.bits >= least)
    yield _costly(data, parts.costly, code, bootstrap)


def _confidence(found: Confidence, code: Code, *, mixed: bool) -> Finding:
    over = found.temperature >= 1
    direction = "too sure" if over else "not sure enough"
    return Finding(
        "overconfidence" if over else "underconfidence",
        f"The predictions are {direction} of themselves: the log loss wants a temperature of "
        f"{found.temperature:.3g}.",
        found.bits,
        found.interval,
        "won",
        _HELD_OUT + (" Measured after mixing, for there are zeros." if mixed else ""),
        "Calibrate by temperature scaling; in the next training, label smoothing or earlier "
        "stopping."
        if over
        else "Calibrate by temperature scaling; in the next training, less regularisation.",
        code.temperature(mixed=mixed),
    )


def _zeros(data: Examined, found: CostlyRows, code: Code, bootstrap: Bootstrap) -> Finding:
    gain = (data.mixed_log_prob() - data.log_prob) / BIT
    return Finding(
        "zero_probabilities",
        f"{_rows(found.zeros)} their own label probability zero, which makes the log loss "
        "infinite.",
        data.average(gain),
        bootstrap.interval(gain, data.weight),
        "won",
        "Nothing is fitted; the interval is a paired bootstrap over rows. A zero counts as "
        "float32's smallest normal number, 126 bits, so the bits depend on this floor.",
        "Mix the uniform distribution into the predictions with the weight of one row more than "
        "there are.",
        code.mixing(),
    )


def _bias(data: Examined, found: Imbalance, code: Code) -> Finding:
    gap = found.predicted_share - found.share
    worst = int(np.abs(gap).argmax())
    return Finding(
        "class_bias",
        f"The predicted class shares are not those of the labels; furthest off is "
        f"{data.labels[worst]}, predicted at {found.predicted_share[worst]:.2%} and "
        f"seen at {found.share[worst]:.2%}.",
        found.bias_bits,
        found.bias_interval,
        "won",
        _HELD_OUT,
        "Correct the prior to the labels' shares, or calibrate with an offset for each class.",
        code.bias(),
    )


def _imbalance(found: Imbalance, code: Code) -> Finding:
    present = found.counts > 0
    balanced = np.allclose(found.target_prior, present / present.sum(), atol=1e-12)
    where = "all classes are equally frequent" if balanced else "classes have the target's shares"
    target = None if balanced else [float(share) for share in found.target_prior]
    return Finding(
        "class_imbalance",
        f"The most frequent class is {found.ratio:.3g} times as frequent as the rarest. Where "
        f"{where}, predictions with this prior lose bits.",
        found.target_bits,
        found.target_interval,
        "won",
        "Nothing is fitted but the labels' shares; the interval is a paired bootstrap over rows. "
        f"It holds only where {where}: elsewhere the correction loses.",
        "If the model is to be used there, correct the prior; in the next training, logit "
        "adjustment or class-balanced weights (crossentropy.losses).",
        code.prior(target),
    )


def _noise(data: Examined, found: LabelNoise, code: Code, bootstrap: Bootstrap) -> Finding:
    gain = relabelling_gain(data, found)
    low, high = found.interval
    return Finding(
        "label_noise",
        f"About {found.noise_rate:.2%} of the labels ({low:.2%} to {high:.2%}) look wrong; "
        f"{found.confident_errors} rows are confidently of another class.",
        data.average(gain),
        bootstrap.interval(gain, data.weight),
        "at_most",
        "The probabilities must be out of sample. The intervals cover the choice of rows only: "
        "confident learning cannot tell a wrong label from a hard row, so clean labels of hard "
        "rows look like this, too. The bits are what the suggested labels win if each is right.",
        "Look at the suspicious rows, mend their labels, and train again; or train with a loss "
        "that withstands noise (crossentropy.losses).",
        code.relabelling(),
    )


def _pair(found: ConfusedPair, code: Code) -> Finding:
    first, second = found.first, found.second
    return Finding(
        "confused_pair",
        f"{first} and {second} are taken for each other: of {found.rows:g} rows "
        f"{found.first_as_second:g} of {first} are predicted as {second}, and "
        f"{found.second_as_first:g} of {second} as {first}.",
        found.bits,
        found.interval,
        "held",
        "The bits that telling the two apart costs, as the difference to one class of both; the "
        "interval is a bootstrap over rows. How much of it can be won, no prediction tells.",
        "More rows or better features of these two; where the difference does not matter, make "
        "them one class.",
        code.merging(found.columns),
    )


def _costly(data: Examined, found: CostlyRows, code: Code, bootstrap: Bootstrap) -> Finding:
    bits = data.bits
    held = np.zeros(len(bits))
    dearest = dearest_hundredth(data)
    held[dearest] = bits[dearest]
    return Finding(
        "costly_rows",
        f"The {len(dearest)} dearest of {len(bits)} rows hold {found.share_of_dearest:.1%} of the "
        "log loss.",
        data.average(held),
        bootstrap.interval(held, data.weight),
        "held",
        "The interval is a bootstrap over rows. Some rows are the dearest in any data.",
        "Look at them: wrong labels, broken inputs and rare cases gather there.",
        code.looking(),
    )


def _rows(number: int) -> str:
    return "1 row gives" if number == 1 else f"{number} rows give"
