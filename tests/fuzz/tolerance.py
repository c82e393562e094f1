"""How far a result may lie from the oracle's: what float arithmetic cannot avoid, and no more.

δ of a row is the error of its logits as the rule sees them: a few roundings of the distance
between logits, or of the logits themselves where a temperature, a bias or a cap changes them. A
loss moves by δ times its slopes there, a gradient by δ of itself. Where terms of a gradient cancel
(`label_smoothing`, `z_loss`, soft targets), it is of what they come to alone. Where a loss has a
step within δ, either side of it will do.
"""

import numpy as np

from . import contexts

_EPSILON = {"float64": 2.0**-52, "float32": 2.0**-23, "float16": 2.0**-23, "bfloat16": 2.0**-23}
_ROUNDING = {"float64": 0, "float32": 0, "float16": 2.0**-11, "bfloat16": 2.0**-8}
# below these numbers are subnormal, and may be flushed to 0
_LEAST = {"float64": 1e-300, "float32": 1e-35, "float16": 3.1e-8, "bfloat16": 1e-35}
_LEAST_EXP = _LEAST | {"float16": 1e-35}  # inside the passes, 16 bits are float32
_LOWEST_EXPONENT = 745.0  # what lies farther below the greatest logit is 0 in any type


def allowed(case, name, wanted):
    """Absolute tolerance of a result, to broadcast over it."""
    if name in ("loss", "gradient", "hessian") and case.context != "rows":
        return _of_loss(case, name, wanted)
    return _of_rows(case, name, wanted)


def _of_loss(case, name, wanted):
    roundings = _roundings(case)
    if name != "loss" or case.is_torchs:
        roundings += _ROUNDING[case.dtype]
    value, delta = np.abs(wanted[name]), _delta(case)
    slopes = contexts.slopes(case)
    moved = np.nan_to_num(slopes, posinf=0.0).sum(axis=1)
    terms = _cancelling(case) * contexts.share(case)
    if name == "loss":
        moved = delta * (2 * moved + terms)
        return roundings * value + (moved if value.ndim else moved.sum()) + _least(case, 1e3)
    apart = np.expand_dims(_cancelling(case) * moved + terms, 1)
    if name == "hessian":
        apart = apart + np.expand_dims(moved, 1)
    steepness = contexts.steepness(case)
    least = _least(case, steepness * contexts.share(case))
    if case.options["loss"].scale != 1:  # what is added to a huge slope loses its last digits
        least += terms * steepness * _MARGIN * _EPSILON["float64"]
    moved = (roundings + 8 * np.expand_dims(delta, 1)) * (value + steepness * apart)
    return moved + least + contexts.jump(case, name, delta.max(initial=0.0))


def _cancelling(case):
    options = case.options
    several = options.get("label_smoothing") or options.get("z_loss") or case.context == "soft"
    return bool(several or options["loss"].needs_weighted)


def _roundings(case):
    """Of a sum over the classes and what is made of it."""
    return (64 + case.logits.shape[1] / 32) * _EPSILON[case.dtype]


def _least(case, steepness=1.0):
    if "loss" in case.options and case.options["loss"].scale != 1:
        steepness *= _MARGIN
    return _LEAST[case.dtype] * max(1.0, steepness)


_MARGIN = 1e11  # losses on cosines have slopes as steep as the exponential of their margin


def _of_rows(case, name, wanted):
    value, roundings = np.abs(wanted[name]), _roundings(case)
    if name == "gradient":
        return _of_row_gradient(case, value)
    delta = _delta(case).reshape(value.shape)
    if name == "lse":
        return roundings * (1 + value) + delta
    if name == "log_prob":
        return roundings * value - delta * np.expm1(wanted[name]) + _LEAST_EXP[case.dtype]
    if name == "weighted_nll":
        weight = case.options.get("weight", np.ones(case.logits.shape[1]))
        return roundings * value + delta * weight.sum()
    return (roundings + delta) * value + _LEAST_EXP[case.dtype]


def _of_row_gradient(case, value):
    share = _roundings(case) + _ROUNDING[case.dtype] + 8 * np.expand_dims(_delta(case), 1)
    share = share + 4 * _EPSILON["float64"] * _folded(case.options["a"])
    largest = max(1.0, *(np.max(np.abs(case.options.get(s, 0.0)), initial=0) for s in "abc"))
    least = _least(case, largest * contexts.steepness(case))
    return share * (value + contexts.magnitudes(case)) + least


def _folded(slopes):
    """What extreme slopes add to the exponents that they go into, at most: their last digits go."""
    steepness = np.abs(slopes)[np.nonzero(slopes)] if np.ndim(slopes) else np.abs([slopes or 1.0])
    extreme = np.abs(np.log(steepness))
    return np.max(extreme, initial=0.0, where=extreme > _EXTREME)


_EXTREME = 69.0  # log 1e30, where the kernels begin to


def _delta(case):
    """δ of every row, of the target's shape."""
    adjusted = contexts.adjusted(case)
    finite = np.where(np.isfinite(adjusted), adjusted, np.nan)
    with np.errstate(all="ignore"):
        high = np.nan_to_num(np.fmax.reduce(finite, axis=1))
        low = np.nan_to_num(np.fmin.reduce(finite, axis=1))
        size = np.minimum(high - low, _LOWEST_EXPONENT)
        farthest = np.maximum(np.abs(high), np.abs(low))
    if contexts.is_adjusted(case):
        size += farthest + _largest(case) * contexts.steepness(case)
    # the logsumexp leaves the statistics in float64, whatever the type
    return 16 * _EPSILON[case.dtype] * (1 + size) + 4 * _EPSILON["float64"] * farthest


def _largest(case):
    """A cap's slope is an exponential of the logits over the cap."""
    if "softcap" not in case.options:
        return 0.0
    finite = case.exact[np.isfinite(case.exact)]
    return min(400.0, 2 * np.abs(finite).max(initial=0.0) / case.options["softcap"])
