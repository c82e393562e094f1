"""What the loss returns beside its value, where it was asked to."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from crossentropy.rows import RowStatistics


class CrossEntropyResult(NamedTuple):
    """A loss with what its pass over the logits has found out about each row.

    All but `loss` are of target's shape, detached, and of the logits as the rule sees them:
    capped, divided by the temperature, with the bias.

    Attributes
    ----------
    loss
        The reduced loss.
    log_prob
        log p of the target, in nats, float32 or float64; 0 in ignored rows. Whatever the loss,
        ``-log_prob`` is the cross entropy.
    lse
        The logsumexp of the row, in nats, likewise.
    argmax
        The predicted class, int64; 0 in ignored rows, which are not read.
    correct
        Whether that is the target, bool; False in ignored rows, so that accuracy is
        ``correct.sum() / (target != ignore_index).sum()``.
    """

    loss: Tensor
    log_prob: Tensor
    lse: Tensor
    argmax: Tensor
    correct: Tensor


def result_of(loss: Tensor, row: RowStatistics, target: Tensor) -> CrossEntropyResult:
    """The result for targets of any shape, from statistics with an argmax."""
    dtype = torch.promote_types(row.rows.logits.dtype, torch.float32)
    log_prob, lse = (x.detach().to(dtype).reshape(target.shape) for x in (row.log_prob, row.lse))
    assert row.argmax is not None
    argmax = row.argmax.reshape(target.shape)
    correct = (argmax == target) & (target != row.rows.ignore_index)
    return CrossEntropyResult(loss, log_prob, lse, argmax, correct)
