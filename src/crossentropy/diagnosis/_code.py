"""Remedies as Python that runs as it stands.

It finds the caller's ``y_true`` and ``logits`` or ``proba`` under these names, and ``labels`` and
``sample_weight`` where they were given.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from crossentropy._predictions import Input

_NUMPY = "import numpy as np"


class Code(NamedTuple):
    """Writes the code for predictions of one kind.

    Attributes
    ----------
    input
        What the predictions are.
    named
        Whether `labels` was given.
    weighted
        Whether `sample_weight` was given.
    """

    input: Input
    named: bool
    weighted: bool

    def temperature(self, *, mixed: bool) -> str:
        """One temperature for all rows, after mixing where there are zeros."""
        return _lines(
            _NUMPY,
            "from crossentropy.calibration import TemperatureScaling",
            *self._columns(),
            *([*self._proba(), *_MIXED, "logits = np.log(mixed)"] if mixed else self._logits()),
            f"scaling = TemperatureScaling(regularization=1.0).fit(logits, y{self._weights()})",
            "calibrated = scaling.predict_proba(logits)",
        )

    def mixing(self) -> str:
        """A little of every class in each row."""
        return _lines(
            _NUMPY,
            *self._proba(),
            *_MIXED,
        )

    def bias(self) -> str:
        """The labels' shares instead of the predicted ones."""
        weights = "sample_weight" if self.weighted else "None"
        return _lines(
            *self._shares(),
            f"factor = share / np.average(proba, axis=0, weights={weights})",
            *_CORRECTED,
        )

    def prior(self, target: Sequence[float] | None) -> str:
        """Other shares than the labels'."""
        wanted = "(share > 0) / (share > 0).sum()" if target is None else f"np.array({target})"
        return _lines(
            *self._shares(),
            f"prior = {wanted}",
            "factor = np.divide(prior, share, out=np.zeros(len(share)), where=share > 0)",
            *_CORRECTED,
        )

    def relabelling(self) -> str:
        """The rows whose labels to look at."""
        return _lines(
            "from crossentropy.diagnosis import label_noise",
            f"noise = label_noise({self._arguments()}, out_of_sample=True)",
            "noise.suspicious.row, noise.suspicious.suggested",
        )

    def merging(self, columns: tuple[int, int]) -> str:
        """One class of two."""
        kept, gone = columns
        return _lines(
            _NUMPY,
            *self._proba(),
            f"merged = np.delete(proba, {gone}, axis=1)",
            f"merged[:, {kept}] += np.asarray(proba)[:, {gone}]",
        )

    def looking(self) -> str:
        """The rows that cost most."""
        return _lines(
            "from crossentropy.diagnosis import costly_rows",
            f"costly_rows({self._arguments()}, n_rows=100).row",
        )

    def _arguments(self) -> str:
        labels = ", labels=labels" if self.named else ""
        name = "logits" if self.input == "logits" else "proba"
        return f'y_true, {name}, input="{self.input}"{labels}{self._weights()}'

    def _weights(self) -> str:
        return ", sample_weight=sample_weight" if self.weighted else ""

    def _columns(self) -> list[str]:
        """The column of each label, as ``y``."""
        if not self.named:
            return ["y = np.unique(y_true, return_inverse=True)[1]"]
        return [
            "column = {label: k for k, label in enumerate(labels)}",
            "y = np.array([column[label] for label in y_true])",
        ]

    def _logits(self) -> list[str]:
        if self.input == "logits":
            return []
        return ["logits = np.log(np.maximum(proba, np.finfo(np.float32).tiny))"]

    def _proba(self) -> list[str]:
        if self.input == "proba":
            return []
        return [
            "proba = np.exp(logits - np.max(logits, axis=1, keepdims=True))",
            "proba /= proba.sum(axis=1, keepdims=True)",
        ]

    def _shares(self) -> list[str]:
        weights = "weights=sample_weight, " if self.weighted else ""
        return [
            _NUMPY,
            *self._columns(),
            *self._proba(),
            f"share = np.bincount(y, {weights}minlength=np.shape(proba)[1])",
            "share = share / share.sum()",
        ]


_MIXED = (
    "n_rows, n_classes = np.shape(proba)",
    "mixed = (n_rows * np.asarray(proba) + 1 / n_classes) / (n_rows + 1)",
)
_CORRECTED = (
    "corrected = proba * factor",
    "corrected /= corrected.sum(axis=1, keepdims=True)",
)


def _lines(*lines: str) -> str:
    return "\n".join(lines)
