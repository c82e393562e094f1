"""The pass as array code: on any library, and, in PyTorch, followed by autograd and compilers.

In float64 where the device has it, like what the rows' reference keeps by row.
"""

from __future__ import annotations

from typing import Any

from crossentropy._arrays import Array, clip, device_of, is_torch, namespace
from crossentropy._errors import InputError
from crossentropy.rows import _pure

from ._contract import Elements, Evaluation, Rule, Side


def evaluate(
    elements: Elements, rule: Rule, *, losses: bool, gradient: bool, scale: float = 1.0
) -> Evaluation:
    """The sum of the losses; each of them and the gradient, times `scale`, where asked for."""
    xp, dtype = namespace(elements.logits), elements.logits.dtype
    check_targets(elements)
    values = losses_of(elements, rule)
    return Evaluation(
        xp.sum(values),
        xp.astype(values, dtype, copy=False) if losses else None,
        xp.astype(gradient_of(elements, rule) * scale, dtype, copy=False) if gradient else None,
    )


def side_of(margin: Array, positive: bool) -> Side:
    """What a label sees, from its margin."""
    if is_torch(margin):  # whose own functions have second derivatives everywhere
        return _side_of_tensor(margin, positive)
    xp = namespace(margin)
    size = xp.abs(margin)
    decay = xp.exp(-size)
    greater = 1 / (1 + decay)
    lesser = decay * greater
    right = margin >= 0
    return Side(
        margin,
        clip(margin, max=0.0) - xp.log1p(decay),
        xp.where(right, greater, lesser),
        xp.where(right, lesser, greater),
        positive,
    )


def _side_of_tensor(margin: Any, positive: bool) -> Side:
    import torch

    log_prob = torch.nn.functional.logsigmoid(margin)
    return Side(margin, log_prob, torch.sigmoid(margin), torch.sigmoid(-margin), positive)


def losses_of(elements: Elements, rule: Rule) -> Array:
    """The loss of each element, in nats, unrounded; NaN where a target is outside [0, 1]."""
    xp = namespace(elements.logits)
    with _pure.quiet(elements.logits):
        z, of_positive, of_negative, ignored = _read(elements)
        positive, negative = side_of(z, True), side_of(-z, False)
        values = _times(of_positive, rule.value(positive))
        values = values + _times(of_negative, rule.value(negative))
        if elements.weight is not None:
            values = _times(_wide(elements.weight, z), values)
        return values if ignored is None else xp.where(ignored, 0.0, values)


def gradient_of(elements: Elements, rule: Rule) -> Array:
    """The gradient of their sum in the logits, unrounded."""
    xp = namespace(elements.logits)
    with _pure.quiet(elements.logits):
        z, of_positive, of_negative, ignored = _read(elements)
        positive, negative = side_of(z, True), side_of(-z, False)
        gradient = of_negative * rule.pull(negative) - of_positive * rule.pull(positive)
        if elements.weight is not None:
            gradient = gradient * _wide(elements.weight, z)
        return gradient if ignored is None else xp.where(ignored, 0.0, gradient)


def _read(elements: Elements) -> tuple[Array, Array, Array, Array | None]:
    """Logits, the shares of both labels, and which elements to ignore; those hold harmless ones."""
    xp = namespace(elements.logits)
    double = _pure._row_dtype(elements.logits)
    z = xp.astype(elements.logits, double, copy=False)
    y = xp.astype(elements.target, double, copy=False)
    ignored = None
    if elements.ignore_index is not None:
        ignored = elements.target == elements.ignore_index
        z, y = xp.where(ignored, 0.0, z), xp.where(ignored, 0.0, y)
    y = xp.where((y >= 0) & (y <= 1), y, xp.nan)
    keep, half = 1 - elements.label_smoothing, elements.label_smoothing / 2
    of_positive, of_negative = y * keep + half, (1 - y) * keep + half
    if elements.pos_weight is not None:
        of_positive = of_positive * _wide(elements.pos_weight, z)
    return z, of_positive, of_negative, ignored


def _wide(values: Array, like: Array) -> Array:
    return namespace(like).astype(values, like.dtype, copy=False)


def _times(weight: Array, values: Array) -> Array:
    """A weight of 0 silences an infinite loss, yet the loss is the slope in the weight."""
    xp = namespace(values)
    return weight * xp.where(weight == 0, clip(values, max=1e30), values)


def check_targets(elements: Elements) -> None:
    """Raise where a target is outside [0, 1]; elsewhere than on the CPU that look would wait."""
    if str(device_of(elements.target)) != "cpu":
        return
    xp, y = namespace(elements.target), elements.target
    good = (y >= 0) & (y <= 1)
    if elements.ignore_index is not None:
        good = good | (y == elements.ignore_index)
    if not bool(xp.all(good)):
        raise_outside(elements)


def raise_outside(elements: Elements) -> None:
    """Raise ValueError for the first target outside [0, 1]."""
    xp, y = namespace(elements.target), elements.target
    bad = ~((y >= 0) & (y <= 1))
    if elements.ignore_index is not None:
        bad = bad & (y != elements.ignore_index)
    place = tuple(int(axis[0]) for axis in xp.nonzero(bad)) if y.ndim else ()
    allowed = "" if elements.ignore_index is None else f", or ignore_index={elements.ignore_index}"
    raise InputError(
        f"targets must be probabilities in [0, 1]{allowed}, got {float(y[place])} at {place}"
    )
