"""What a loss of binary and multi-label targets defines, and what it gets for it on arrays.

With a logit z and a target y, the probability of the positive label, the loss is
``y·ℓ₊(z) + (1 − y)·ℓ₋(−z)``: linear in y, an expectation over the label, and for y of 0 or 1
the paper's formula.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from crossentropy import elements
from crossentropy._arrays import Array
from crossentropy.elements import Curve, Side

from . import _check


@dataclass(frozen=True)
class BinaryLoss(ABC):
    """A loss of one logit: ``y·ℓ₊(z) + (1 − y)·ℓ₋(−z)``, ℓ a function of the label's margin."""

    @property
    @abstractmethod
    def name(self) -> str:
        """The loss in snake case."""

    @property
    def curve(self) -> Curve | None:
        """The same for the native kernel, or None where it does not know it."""
        return None

    @abstractmethod
    def value(self, side: Side) -> Array:
        """ℓ of a label, in nats, by operations that automatic differentiation can follow twice."""

    @abstractmethod
    def pull(self, side: Side) -> Array:
        """−dℓ/dm of a label, m its margin."""

    def loss(
        self,
        y_true: Array,
        logits: Array,
        *,
        sample_weight: Array | None = None,
        pos_weight: Array | None = None,
        n_threads: int = 1,
        out: Array | None = None,
    ) -> Array:
        """Loss of each logit.

        Parameters
        ----------
        y_true
            Labels 0 and 1, or probabilities of 1, of the logits' shape and any real type.
        logits
            Raw scores of label 1, of any shape and array library.
        sample_weight
            Multiplies the losses; broadcasts to their shape.
        pos_weight
            Multiplies the part of the positive label; broadcasts likewise, so that one for each
            label of the last axis will do.
        n_threads
            At most so many threads work on them.
        out
            Like the logits, written to and returned; made where None.

        Returns
        -------
        array
            In nats, of the logits' shape and type.

        Raises
        ------
        TypeError, ValueError
            If types or shapes do not fit, or a target is outside [0, 1]; what `out` holds means
            nothing then.

        Examples
        --------
        >>> import numpy as np
        >>> from crossentropy.losses import BinaryCrossEntropy
        >>> BinaryCrossEntropy().loss(np.array([1, 0]), np.array([0.0, -100.0]))
        array([6.93147181e-01, 3.72007598e-44])
        """
        given = _elements(y_true, logits, sample_weight, pos_weight, n_threads, losses=out)
        return elements.evaluate(given, self, losses=True, losses_out=out).losses

    def gradient(
        self,
        y_true: Array,
        logits: Array,
        *,
        sample_weight: Array | None = None,
        pos_weight: Array | None = None,
        n_threads: int = 1,
        out: Array | None = None,
    ) -> Array:
        """Derivative of each loss in its logit, of the logits' type; `out` may be them. See `loss`.

        Examples
        --------
        >>> import numpy as np
        >>> from crossentropy.losses import BinaryCrossEntropy
        >>> BinaryCrossEntropy().gradient(np.array([1, 0]), np.array([0.0, -100.0]))
        array([-5.00000000e-01,  3.72007598e-44])
        """
        given = _elements(y_true, logits, sample_weight, pos_weight, n_threads, gradient=out)
        return elements.evaluate(given, self, gradient=True, gradient_out=out).gradient

    def loss_gradient(
        self,
        y_true: Array,
        logits: Array,
        *,
        sample_weight: Array | None = None,
        pos_weight: Array | None = None,
        n_threads: int = 1,
        loss_out: Array | None = None,
        gradient_out: Array | None = None,
    ) -> tuple[Array, Array]:
        """Loss of each logit and its derivative, in one pass. See `loss` and `gradient`."""
        outputs = {"losses": loss_out, "gradient": gradient_out}
        given = _elements(y_true, logits, sample_weight, pos_weight, n_threads, **outputs)
        made = elements.evaluate(
            given,
            self,
            losses=True,
            gradient=True,
            losses_out=loss_out,
            gradient_out=gradient_out,
        )
        return made.losses, made.gradient


def _elements(
    y_true: Array,
    logits: Array,
    sample_weight: Array | None,
    pos_weight: Array | None,
    n_threads: int,
    **outputs: Array | None,
) -> elements.Elements:
    """The arguments of an array method, checked."""
    given = elements.make(
        logits, y_true, weight=sample_weight, pos_weight=pos_weight, n_threads=n_threads
    )
    for name, out in outputs.items():
        _check.output(f"the output of the {name}", out, logits, tuple(logits.shape), logits.dtype)
    return given


# ---- members of the family ----------------------------------------------------------------------
