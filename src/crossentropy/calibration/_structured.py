"""Vector and matrix scaling, with the penalties of structured matrix scaling."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from crossentropy._cpus import cpus
from crossentropy._errors import InputError
from crossentropy._fit import LogitMap, fit_structured

from ._base import MappedCalibrator

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from crossentropy._predictions import Array, Input


class _Structured(MappedCalibrator):
    _learnt: ClassVar[tuple[str, ...]] = ("beta_", "mixing_", "coef_", "intercept_")
    _matrix: ClassVar[bool]

    beta_: float
    mixing_: float
    coef_: Array
    intercept_: Array

    def __init__(
        self,
        *,
        input: Input = "logits",
        classes: ArrayLike | None = None,
        regularization: float = 1.0,
    ) -> None:
        self.input = input
        self.classes = classes
        self.regularization = regularization

    def _learn(self, logits: Array, codes: Array, weight: Array | None) -> None:
        if not 0 <= self.regularization < float("inf"):
            raise InputError(
                f"regularization must be a nonnegative number, got {self.regularization}"
            )
        found = fit_structured(
            logits,
            codes,
            weight,
            matrix=self._matrix,
            regularization=self.regularization,
            n_threads=cpus(),
        )
        self.beta_, self.mixing_, self.coef_, self.intercept_ = found

    def logit_map(self) -> LogitMap:
        """Return temperature, mixing, factors and offsets."""
        return LogitMap(self.beta_, self.mixing_, self.coef_, self.intercept_)


class VectorScaling(_Structured):
    r"""A factor and an offset for each class, after a temperature.

    With :math:`x = \log p` of the temperature with Laplace's mixing, and C classes, n rows, it
    minimises over v and b

    .. math:: \frac1n \sum_i \operatorname{CE}\bigl((I + \operatorname{diag} v) x_i + b,\, y_i
              \bigr) + \lambda \frac{C}{n} \bigl(\|b\|^2 + \|v\|^2\bigr)

    to its optimum. The penalties keep it close to temperature scaling where rows are few.

    Parameters
    ----------
    input : {"logits", "proba"}, default "logits"
        What X holds; see `TemperatureScaling` for probabilities of zero.
    classes : array-like of shape (n_classes,), optional
        The labels of the columns, where the rows may not show all of them.
    regularization : float, default 1
        :math:`\lambda`, in units of the paper's penalty.

    Attributes
    ----------
    coef_ : ndarray of shape (n_classes,)
        :math:`1 + v`.
    intercept_ : ndarray of shape (n_classes,)
        b, in nats.
    beta_, mixing_ : float
        Inverse temperature, with a pull of one row towards 1, and share of the uniform
        distribution, 1/(n + 1).
    classes_ : ndarray of shape (n_classes,)
        The labels of the columns.

    References
    ----------
    Berta, Holzmüller, Jordan, Bach, "Structured matrix scaling for multi-class calibration",
    https://arxiv.org/abs/2511.03685.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> logits = rng.normal(size=(2000, 3))
    >>> y = (logits + [1.0, 0.0, 0.0] + rng.gumbel(size=(2000, 3))).argmax(axis=1)
    >>> scaling = VectorScaling().fit(logits, y)
    >>> scaling.predict_proba([[0.0, 0.0, 0.0]]).round(1)  # e : 1 : 1
    array([[0.6, 0.2, 0.2]])
    """

    _matrix = False


class MatrixScaling(_Structured):
    r"""A matrix and an offset for each class, after a temperature: structured matrix scaling.

    With :math:`x = \log p` of the temperature with Laplace's mixing, and C classes, n rows, it
    minimises over v, M (of zero diagonal) and b

    .. math:: \frac1n \sum_i \operatorname{CE}\bigl((I + \operatorname{diag} v + M) x_i + b,\,
              y_i\bigr) + \lambda \frac{C}{n} \bigl(\|b\|^2 + \|v\|^2 + (C - 1) \|M\|^2\bigr)

    to its optimum. In public comparisons by log loss this is the best calibrator of many
    classes; it costs C² numbers.

    Parameters
    ----------
    input : {"logits", "proba"}, default "logits"
        What X holds; see `TemperatureScaling` for probabilities of zero.
    classes : array-like of shape (n_classes,), optional
        The labels of the columns, where the rows may not show all of them.
    regularization : float, default 1
        :math:`\lambda`, in units of the paper's penalty.

    Attributes
    ----------
    coef_ : ndarray of shape (n_classes, n_classes)
        :math:`I + \operatorname{diag} v + M`.
    intercept_ : ndarray of shape (n_classes,)
        b, in nats.
    beta_, mixing_ : float
        Inverse temperature, with a pull of one row towards 1, and share of the uniform
        distribution, 1/(n + 1).
    classes_ : ndarray of shape (n_classes,)
        The labels of the columns.

    References
    ----------
    Berta, Holzmüller, Jordan, Bach, "Structured matrix scaling for multi-class calibration",
    https://arxiv.org/abs/2511.03685.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> logits = rng.normal(size=(2000, 3))
    >>> y = (2 * logits + rng.gumbel(size=(2000, 3))).argmax(axis=1)
    >>> scaling = MatrixScaling().fit(logits, y)
    >>> bool(abs(scaling.coef_ - np.eye(3)).max() < 0.1), round(scaling.beta_)
    (True, 2)
    """

    _matrix = True
