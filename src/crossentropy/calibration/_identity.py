"""Predictions as they are, to compare calibrators with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crossentropy._fit import LogitMap

from ._base import MappedCalibrator

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from crossentropy._predictions import Array, Input


class Identity(MappedCalibrator):
    """Leave the probabilities as they are: what other calibrators have to beat.

    Parameters
    ----------
    input : {"logits", "proba"}, default "logits"
        What X holds; see `TemperatureScaling` for probabilities of zero.
    classes : array-like of shape (n_classes,), optional
        The labels of the columns, where the rows may not show all of them.

    Examples
    --------
    >>> Identity(input="proba").fit([[0.5, 0.5], [0.25, 0.75]], [0, 1]).predict_proba([[0.5, 0.5]])
    array([[0.5, 0.5]])
    """

    def __init__(self, *, input: Input = "logits", classes: ArrayLike | None = None) -> None:
        self.input = input
        self.classes = classes

    def _learn(self, logits: Array, codes: Array, weight: Array | None) -> None:
        pass

    def logit_map(self) -> LogitMap:
        """Return the identity."""
        return LogitMap()
