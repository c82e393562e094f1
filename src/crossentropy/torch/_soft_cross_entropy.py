"""`cross_entropy` where targets are distributions over the classes."""

from __future__ import annotations

from torch import Tensor

from crossentropy.rows import Rows, SoftTarget

from . import _check, _soft
from ._options import Options
from ._problem import per_class
from ._soft import SoftCall, SoftRows


def is_soft(input: Tensor, target: Tensor) -> bool:
    """Whether a target is a distribution: torch's rule, floating-point and of input's shape."""
    return target.is_floating_point() and target.shape == input.shape and input.ndim > 0


def soft_cross_entropy(input: Tensor, target: Tensor, options: Options) -> Tensor:
    """The loss."""
    _check.soft_arguments(input, target, options)
    logits, probs = _soft.rows_of(input, target)
    given = SoftRows(logits, probs, _soft.by_row(options.mask), _soft.by_row(options.sample_weight))
    value = _soft.loss(given, call_of(given, options))
    return value.reshape(_check.row_shape(input)) if options.reduction == "none" else value


def call_of(given: SoftRows, options: Options) -> SoftCall:
    """The call that checked options make; of the logits it sees type, shape and device."""
    logits = given.logits
    smoothing, classes = options.label_smoothing, max(logits.shape[1], 1)
    uniform = options.smoothing_prior is None
    soft = SoftTarget(
        class_weight=per_class(options.weight, logits),
        prior=per_class(options.smoothing_prior, logits) if smoothing else None,
        keep=1 - smoothing,
        spread=smoothing / classes if uniform else smoothing,
        z_loss=options.z_loss,
        mask=given.mask,
    )
    template = Rows(
        None,
        None,
        temperature=float(options.temperature),
        bias=per_class(options.logit_bias, logits),
        softcap=None if options.softcap is None else float(options.softcap),
    )
    return SoftCall(soft, template, given.sample_weight, _share(given, soft, options))


def _share(given: SoftRows, soft: SoftTarget, options: Options) -> Tensor | float | None:
    """What multiplies the rows' sum; None leaves a loss for each row."""
    if options.reduction != "mean":
        return 1.0 if options.reduction == "sum" else None
    divisor = options.normalizer
    if divisor is None:
        divisor = _soft.count_of(given)
    elif isinstance(divisor, str):
        divisor = _soft.mass_of(given, soft)
    return _soft.share_of(divisor, options.empty)
