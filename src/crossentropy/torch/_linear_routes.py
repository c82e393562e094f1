"""The fused layer's routes from a loss's value to its gradients, and the choice between them.

As `_autograd` has them for logits: eager tensors by blocks, in a `Function`; compiled ones by
opaque operators around the same; and plain torch operations for what only these follow.
"""

from __future__ import annotations

import torch
from torch import Tensor

from crossentropy import rows
from crossentropy.rows import RowStatistics

from . import _composite, _linear_check, _linear_eager, _linear_operators, _soft
from ._layout import autocasts, without_autocast
from ._linear_eager import RowLoss, with_normalizer
from ._linear_layer import Layer
from ._linear_options import LinearOptions
from ._linear_plain import Operands, by_position, logits_of
from ._linear_rows import Differentiated, RowsCall, WholeRows
from ._options import Options
from ._problem import problem_of
from ._soft import SoftRows
from ._soft_cross_entropy import call_of, soft_cross_entropy

_PLAIN = (Tensor, torch.nn.Parameter)


def loss(
    operands: Operands, target: Tensor, given: Options, options: LinearOptions
) -> tuple[Tensor, RowStatistics | None]:
    """The loss of checked operands, and the statistics of its rows where they are asked for.

    Targets are class indices (N, P) or distributions (N, C, P); rows are in their order, (N·P,).
    """
    samples, classes, positions = operands.shape
    stand_in = operands.input.new_empty(()).expand(samples, classes, positions)
    _linear_check.loss(stand_in, target, given)
    if target.is_floating_point():
        return _of_probabilities(operands, target, given, options), None
    engine = RowLoss(
        problem_of(stand_in, given),
        by_position(target, samples, positions),
        _loss_dtype(operands.input),
        given.return_stats,
    )
    reads_logits = engine.problem.objective.loss.needs_logits
    if not _in_blocks(operands):
        return engine.plain(operands)
    if torch.compiler.is_compiling():
        native = operands.input.is_cpu and rows.path() != "reference"
        if reads_logits or not native:
            return engine.plain(operands)
        return _linear_operators.loss(operands, engine, options)
    layer = _linear_eager.layer_of(operands, options)
    rows.check_targets(engine.passes(layer).read)
    if not reads_logits:
        outcome = _linear_eager.loss(operands, engine, options)
        return outcome.loss, outcome.row
    row = engine.statistics(layer) if given.return_stats else None
    return _linear_eager.loss(operands, _by_logits(engine, layer, target), options).loss, row


def _by_logits(engine: RowLoss, layer: Layer, target: Tensor) -> WholeRows:
    """The engine of a loss that reads all logits of a row."""
    problem = with_normalizer(engine.problem, engine.passes(layer).read)

    def value(logits: Tensor, target: Tensor) -> Tensor:
        return _composite.loss(logits, target, problem)[0]

    call = Differentiated(value, engine.by_row)
    return WholeRows(call, target.reshape(-1), engine.differentiable, engine.dtype)


def _of_probabilities(
    operands: Operands, target: Tensor, given: Options, options: LinearOptions
) -> Tensor:
    samples, classes, positions = operands.shape
    dtype = torch.promote_types(_loss_dtype(operands.input), target.dtype)

    def plain(operands: Operands) -> Tensor:
        with without_autocast(operands.input):
            z = logits_of(operands).view(classes, positions, samples).permute(2, 0, 1)
            z = z.to(torch.promote_types(z.dtype, dtype))
            value = soft_cross_entropy(z, target, given).to(dtype)
        return value.flatten() if value.ndim else value

    layer = _linear_eager.layer_of(operands, options)
    moves = target.requires_grad and torch.is_grad_enabled()
    wide = target.dtype.itemsize > layer.dtype.itemsize
    if not _in_blocks(operands) or torch.compiler.is_compiling() or moves or wide:
        return plain(operands)
    probs = target.movedim(1, -1).reshape(samples * positions, classes)
    by_row = layer.input.new_empty((), dtype=layer.dtype).expand(probs.shape)
    soft = call_of(SoftRows(by_row, probs, None, None), given)
    native = _soft.have_kernels(layer.input, target)
    call: RowsCall = soft if native else Differentiated(soft.differentiable, soft.by_row)
    return _linear_eager.loss(operands, WholeRows(call, probs, plain, dtype), options).loss


def _loss_dtype(input: Tensor) -> torch.dtype:
    short = input.dtype.itemsize < 4
    return torch.float32 if short and autocasts(input.device.type) else input.dtype


def _in_blocks(operands: Operands) -> bool:
    """Whether there is something to compute, and nobody wants to follow the operations."""
    follows = _composite.transformed() or not all(type(x) in _PLAIN for x in operands.given)
    return not follows and 0 not in operands.input.shape and 0 not in operands.weight.shape
