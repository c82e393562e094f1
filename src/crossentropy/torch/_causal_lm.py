"""`patch_causal_lm`: a causal language model of `transformers` that computes its loss blockwise."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from ._linear import linear_cross_entropy
from ._linear_options import LinearOptions


class patch_causal_lm:  # noqa: N801 # called as a function, and a context manager where wanted
    """Have a causal model of `transformers` compute its loss without the logits.

    From now on, where the model is given ``labels=`` and gradients are recorded, its loss is
    `linear_cross_entropy` of the last hidden states and the output embeddings. It is the same loss,
    `num_items_in_batch` and `shift_labels` included; `logits` of the output is then None. Without
    labels, and under `torch.no_grad`, the model is as before.

    Parameters
    ----------
    model
        A causal language model of `transformers` whose output embeddings are an `nn.Linear`, and
        whose loss is that library's `ForCausalLMLoss`. Between the two the logits may be
        multiplied or divided by a number, or capped as the configuration's
        `final_logit_softcapping` says; a model that does anything else to them gets a TypeError.
    options
        `LinearOptions`: the memory that blocks may take.

    Raises
    ------
    TypeError
        If the model is not of this kind.

    Examples
    --------
    For good, or for a while::

        patch_causal_lm(model)
        with patch_causal_lm(model):
            ...

    `undo` gives the model its own loss back, as the end of the ``with`` block does.
    """

    def __init__(self, model: Any, *, options: LinearOptions | None = None) -> None:
        _check(model)
        self._model, self._forward, self._options = model, model.forward, options
        self._own = vars(model).get("forward")

        @functools.wraps(model.forward)
        def forward(*args: Any, **kwargs: Any) -> Any:
            return self._call(*args, **kwargs)

        model.forward = forward

    def undo(self) -> None:
        """Give the model its own loss back."""
        if self._own is None:
            del self._model.forward
        else:
            self._model.forward = self._own

    def __enter__(self) -> Any:
        return self._model

    def __exit__(self, *_: object) -> None:
        self.undo()

    def _call(self, *args: Any, **kwargs: Any) -> Any:
        if kwargs.get("labels") is None or not torch.is_grad_enabled():
            return self._forward(*args, **kwargs)
        with _without_logits(self._model, self._options):
            output = self._forward(*args, **kwargs)
        if isinstance(output, tuple):
            return tuple(None if isinstance(x, _Logits) else x for x in output)
        return type(output)(**{k: x for k, x in output.items() if not isinstance(x, _Logits)})


class _Logits:
    """What stands for the logits: the hidden states they come from, and how they are scaled.

    No tensor, so that a model which does anything else to them fails.
    """

    def __init__(self, hidden: Tensor, head: nn.Linear, scale: float = 1.0) -> None:
        self.hidden, self.head, self.scale = hidden, head, scale

    def __mul__(self, factor: float) -> _Logits:
        if not isinstance(factor, int | float) or factor <= 0:
            return NotImplemented
        return _Logits(self.hidden, self.head, self.scale * factor)

    __rmul__ = __mul__

    def __truediv__(self, divisor: float) -> _Logits:
        return self * (1 / divisor)

    def float(self) -> _Logits:
        """Itself: the loss is computed in float32 anyway."""
        return self

    def contiguous(self) -> _Logits:
        """Itself."""
        return self

    def __getattr__(self, name: str) -> Any:
        raise TypeError(
            f"patch_causal_lm: the model takes {name!r} of its logits, which are not computed; "
            "leave it unpatched"
        )


def _check(model: Any) -> None:
    head = model.get_output_embeddings() if hasattr(model, "get_output_embeddings") else None
    if type(head) is not nn.Linear:
        raise TypeError(
            "patch_causal_lm needs a causal language model of transformers whose output embeddings "
            f"are an nn.Linear, got {type(model).__name__} with {type(head).__name__}"
        )
    name = getattr(getattr(model, "loss_function", None), "__name__", None)
    if name != "ForCausalLMLoss":
        raise TypeError(
            f"patch_causal_lm needs a model whose loss_function is ForCausalLMLoss, got {name}"
        )


@contextlib.contextmanager
def _without_logits(model: Any, options: LinearOptions | None) -> Iterator[None]:
    """A while in which the head hands on its input, and the loss takes it."""
    head, config = model.get_output_embeddings(), model.config
    own_loss = vars(model).get("_loss_function")
    softcap = getattr(config, "final_logit_softcapping", None)

    def loss(
        logits: _Logits,
        labels: Tensor,
        vocab_size: int | None = None,
        num_items_in_batch: Tensor | float | None = None,
        ignore_index: int = -100,
        shift_labels: Tensor | None = None,
        **_: Any,
    ) -> Tensor:
        hidden, target = logits.hidden, labels if shift_labels is None else shift_labels
        is_short = hidden.dtype.itemsize < 4
        # under autocast a loss is float32, as theirs is, whatever the type of the model
        with torch.autocast(hidden.device.type, hidden.dtype if is_short else None, is_short):
            value: Tensor = linear_cross_entropy(
                hidden,
                head.weight,
                target.to(hidden.device),
                linear_bias=head.bias,
                ignore_index=ignore_index,
                temperature=1 / logits.scale,
                softcap=softcap,
                normalizer=num_items_in_batch,
                shift=shift_labels is None,
                options=options,
            )
        return value

    head.forward = lambda hidden: _Logits(hidden, head)
    model.loss_function = loss
    if softcap is not None:
        config.final_logit_softcapping = None
    try:
        yield
    finally:
        del head.forward
        if own_loss is None:
            del model._loss_function
        else:
            model.loss_function = own_loss
        if softcap is not None:
            config.final_logit_softcapping = softcap
