"""Temperature scaling: one number for all rows and classes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar, Literal

from crossentropy._cpus import cpus
from crossentropy._errors import InputError
from crossentropy._fit import LogitMap, fit_beta, laplace

from ._base import MappedCalibrator

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from crossentropy._predictions import Array, Input


class TemperatureScaling(MappedCalibrator):
    r"""Divide the logits by one temperature, chosen by log loss.

    Minimises over :math:`\beta = 1/T \ge 0` the convex

    .. math:: \frac1n \sum_i \bigl[\operatorname{lse}(\beta z_i) - \beta z_{i,y_i}\bigr]
              + \frac{\lambda}{2n}(\beta - 1)^2

    by a safeguarded Newton iteration with gradient :math:`\text{mean}(E_p z - z_y)` and Hessian
    :math:`\text{mean}(\operatorname{Var}_p z)`. The order of the classes in a row, and so the
    accuracy, never changes.

    Parameters
    ----------
    input : {"logits", "proba"}, default "logits"
        What X holds. Probabilities below 1.18e-38, float32's smallest normal number, count as
        it, zeros included; they need not sum to one to more than six digits.
    classes : array-like of shape (n_classes,), optional
        The labels of the columns, where the rows may not show all of them.
    regularization : float, default 0
        :math:`\lambda \ge 0`, the pull towards :math:`\beta = 1` in units of rows. Zero is the
        plain maximum-likelihood fit; 1 keeps the temperature finite on separable data and is
        hardly felt elsewhere.
    mixing : {"laplace"}, optional
        After the temperature, mix the probabilities of C classes with the uniform distribution,
        :math:`p \leftarrow \frac{n}{n+1} p + \frac{1}{n+1} \frac1C`, as Laplace's rule of
        succession does after n rows: no log loss exceeds :math:`\log(C(n+1))`. Without it,
        `temperature_` alone reproduces the probabilities.

    Attributes
    ----------
    beta_ : float
        The inverse temperature. Zero where the logits know nothing about the labels.
    temperature_ : float
        ``1 / beta_``.
    mixing_ : float
        Share of the uniform distribution.
    classes_ : ndarray of shape (n_classes,)
        The labels of the columns.
    n_iter_ : int
        Passes over all logits.

    References
    ----------
    Guo, Pleiss, Sun, Weinberger, "On calibration of modern neural networks", ICML 2017,
    https://arxiv.org/abs/1706.04599. Mixing: Berta, Holzmüller, Jordan, Bach, "Structured matrix
    scaling for multi-class calibration", https://arxiv.org/abs/2511.03685.

    Examples
    --------
    >>> import numpy as np
    >>> logits = np.array([[9.0, 0.0], [9.0, 0.0], [0.0, 9.0], [0.0, 9.0]])
    >>> y = np.array([0, 1, 1, 1])
    >>> scaling = TemperatureScaling().fit(logits, y)
    >>> round(scaling.temperature_, 3)  # 3 of 4 are right, so p = 0.75: beta = log(3) / 9
    8.192
    >>> scaling.predict_proba(logits[:1]).round(2)
    array([[0.75, 0.25]])
    """

    _learnt: ClassVar[tuple[str, ...]] = ("beta_", "mixing_", "n_iter_")

    beta_: float
    mixing_: float
    n_iter_: int

    def __init__(
        self,
        *,
        input: Input = "logits",
        classes: ArrayLike | None = None,
        regularization: float = 0.0,
        mixing: Literal["laplace"] | None = None,
    ) -> None:
        self.input = input
        self.classes = classes
        self.regularization = regularization
        self.mixing = mixing

    @property
    def temperature_(self) -> float:
        """``1 / beta_``."""
        return 1.0 / self.beta_ if self.beta_ > 0 else math.inf

    def _learn(self, logits: Array, codes: Array, weight: Array | None) -> None:
        if self.mixing not in (None, "laplace"):
            raise InputError(f'mixing must be "laplace" or None, got {self.mixing!r}')
        self.beta_, self.n_iter_ = fit_beta(
            logits, codes, weight, regularization=self.regularization, n_threads=cpus()
        )
        self.mixing_ = 0.0 if self.mixing is None else laplace(len(codes))

    def logit_map(self) -> LogitMap:
        """Return the temperature and the mixing."""
        return LogitMap(self.beta_, self.mixing_)
