"""Reliability diagrams by scikit-learn's Display protocol."""

from __future__ import annotations

from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np

from crossentropy._errors import InputError
from crossentropy._optional import require
from crossentropy._predictions import Input

from ._bins import BINS, Bins, chance_band, check_level, wilson
from ._calibration_error import calibration_error

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


class ReliabilityDisplay:
    """Reliability diagram: how often what was predicted happened, by its probability.

    Make it by `from_predictions` or `from_estimator`; needs matplotlib.

    Parameters
    ----------
    bins : Bins
        Sums over bins of confidence, of shape (bins,), as `calibration_error` has them.
    estimator_name : str, optional
        Name of the curve.
    level : float, default 0.95
        Of the bars and of the band.

    Attributes
    ----------
    ax_, figure_
        matplotlib's axes and figure, once there is a plot.
    line_, errorbar_, band_
        The curve, its bars and the band.

    See Also
    --------
    reliability_curve : The numbers behind it.

    Examples
    --------
    >>> import matplotlib; matplotlib.use("agg")
    >>> proba = [[0.9, 0.1], [0.8, 0.2], [0.4, 0.6], [0.3, 0.7]]
    >>> display = ReliabilityDisplay.from_predictions([0, 1, 1, 1], proba, input="proba", bins=2)
    >>> display.ax_.get_xlabel()
    'Probability of the top label'
    """

    ax_: Any
    figure_: Any
    line_: Any
    errorbar_: Any
    band_: Any

    def __init__(
        self,
        bins: Bins,
        *,
        estimator_name: str | None = None,
        pos_label: Any = None,
        level: float = 0.95,
    ) -> None:
        check_level(level)
        self.bins = bins
        self.estimator_name = estimator_name
        self.pos_label = pos_label
        self.level = level

    @classmethod
    def from_predictions(
        cls,
        y_true: ArrayLike,
        logits_or_proba: ArrayLike,
        *,
        input: Input,
        bins: int = BINS,
        strategy: str = "uniform",
        pos_label: Any = None,
        sample_weight: ArrayLike | None = None,
        labels: ArrayLike | None = None,
        level: float = 0.95,
        name: str | None = None,
        ax: Any = None,
        **line_options: Any,
    ) -> ReliabilityDisplay:
        """Plot predictions.

        Parameters
        ----------
        y_true, logits_or_proba, input, sample_weight, labels, pos_label
            As for `calibration_error`.
        bins : int, default 15
            Number of bins.
        strategy : {"uniform", "quantile"}, default "uniform"
            Bins of equal width or of equal mass, as in scikit-learn's `calibration_curve`.
        level : float, default 0.95
            Of the bars and of the band.
        name : str, optional
            Name of the curve.
        ax : matplotlib axes, optional
            Where to plot; new ones by default.
        **line_options
            Passed to matplotlib's ``plot``.
        """
        if strategy not in ("uniform", "quantile"):
            raise InputError(f'strategy must be "uniform" or "quantile", got {strategy!r}')
        error = calibration_error(
            y_true,
            logits_or_proba,
            input=input,
            kind="ece" if strategy == "uniform" else "ace",
            bins=bins,
            pos_label=pos_label,
            sample_weight=sample_weight,
            labels=labels,
        )
        display = cls(error.bins, estimator_name=name, pos_label=pos_label, level=level)
        return display.plot(ax=ax, **line_options)

    @classmethod
    def from_estimator(
        cls, estimator: Any, X: Any, y: ArrayLike, *, name: str | None = None, **options: Any
    ) -> ReliabilityDisplay:
        """Plot the probabilities of a fitted classifier.

        Parameters
        ----------
        estimator
            With ``predict_proba`` and ``classes_``.
        X, y
            Rows and their labels; y may lack classes.
        name : str, optional
            Name of the curve; the estimator's class by default.
        **options
            As for `from_predictions`.
        """
        return cls.from_predictions(
            y,
            estimator.predict_proba(X),
            input="proba",
            labels=estimator.classes_,
            name=type(estimator).__name__ if name is None else name,
            **options,
        )

    def plot(
        self, ax: Any = None, *, name: str | None = None, ref_line: bool = True, **line_options: Any
    ) -> ReliabilityDisplay:
        """Plot the curve with bars, over the band of calibrated predictions.

        Bars are Wilson's intervals of each bin's share; the band is where each point would lie,
        ``level`` of the time, if the predictions were calibrated.

        Parameters
        ----------
        ax : matplotlib axes, optional
            Where to plot; new ones by default.
        name : str, optional
            Name of the curve, in place of the estimator's.
        ref_line : bool, default True
            Whether to draw the diagonal, with its band.
        **line_options
            Passed to matplotlib's ``plot``.
        """
        if ax is None:
            _, ax = require("matplotlib.pyplot", "report").subplots()
        filled = self.bins.at(self.bins.weight > 0)
        x, y = filled.confidence / filled.weight, filled.correct / filled.weight
        quantile = NormalDist().inv_cdf((1 + self.level) / 2)
        if ref_line:
            ax.plot([0, 1], [0, 1], color="0.6", linestyle="--", linewidth=1)
            low, high = chance_band(filled, level=self.level)
            self.band_ = ax.fill_between(x, low, high, color="0.85", zorder=0, linewidth=0)
        name = self.estimator_name if name is None else name
        options = {"marker": "o", "markersize": 4, "label": name} | line_options
        (self.line_,) = ax.plot(x, y, **options)
        low, high = wilson(filled, quantile)
        self.errorbar_ = ax.errorbar(
            x, y, np.abs([y - low, high - y]), fmt="none", color=self.line_.get_color(), linewidth=1
        )
        event = "the top label" if self.pos_label is None else repr(self.pos_label)
        ax.set(
            xlim=(0, 1),
            ylim=(0, 1),
            aspect="equal",
            xlabel=f"Probability of {event}",
            ylabel="Share of rows where it is the label",
        )
        if options["label"] is not None:
            ax.legend(loc="upper left")
        self.ax_, self.figure_ = ax, ax.figure
        return self
