"""The choice of implementation, call by call; `crossentropy.rows` forces a path."""

from __future__ import annotations

from crossentropy import rows
from crossentropy._arrays import Array
from crossentropy.rows import _memory as memories

from . import _native, _reference
from ._contract import Elements, Evaluation, Rule


def is_native(elements: Elements, rule: Rule) -> bool:
    """Whether the native kernel knows the rule and can read the arrays."""
    return _memory_of(elements, rule) is not None


def evaluate(
    elements: Elements,
    rule: Rule,
    *,
    losses: bool = False,
    gradient: bool = False,
    scale: float = 1.0,
    losses_out: Array | None = None,
    gradient_out: Array | None = None,
) -> Evaluation:
    """One pass: the sum of all losses and, where asked for, each of them and the gradient.

    Parameters
    ----------
    elements
        From `make`.
    rule
        The loss.
    losses, gradient
        What to return beside the sum.
    scale
        Multiplies the gradient.
    losses_out, gradient_out
        Arrays like the logits to write to; made where None. The gradient's may be the logits.

    Raises
    ------
    ValueError
        If a target is outside [0, 1]; what was written until then means nothing.
    """
    memory = _memory_of(elements, rule)
    outputs = [out for out in (losses_out, gradient_out) if out is not None]
    if memory is not None and all(memory.is_contiguous(out) for out in outputs):
        if losses and losses_out is None:
            losses_out, _ = memory.output(elements.logits)
        return _native.evaluate(elements, rule, memory, losses_out, gradient, scale, gradient_out)
    made = _reference.evaluate(elements, rule, losses=losses, gradient=gradient, scale=scale)
    return made._replace(
        losses=_written(made.losses, losses_out), gradient=_written(made.gradient, gradient_out)
    )


def _memory_of(elements: Elements, rule: Rule) -> memories.Memory | None:
    native = rows.path() != "reference" and rule.curve is not None
    return memories.memory_of(elements.logits) if native else None


def _written(values: Array | None, out: Array | None) -> Array | None:
    if values is None or out is None:
        return values
    out[...] = values
    return out
