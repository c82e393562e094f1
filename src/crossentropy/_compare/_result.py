"""What `compare` returns."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from crossentropy._config import __version__
from crossentropy.scores import ReliabilityCurve

from . import _rows, _saved, _verdict
from ._plan import Study
from ._preparation import class_counts, shares
from ._rows import Row
from ._statistics import CONFIDENCE
from ._study import SplitResult
from ._training import LEARNING_RATES


@dataclass(frozen=True)
class CompareResult:
    """The outcome of a study of losses.

    Attributes
    ----------
    rows : tuple of Row
        The table: plain cross entropy, the candidates, the yardsticks.
    winner : str or None
        Name of the row to prefer to plain cross entropy, or None to keep that.
    verdict : str
        One sentence to act on.
    code : str
        Lines of Python that train with the winner.
    data, protocol : dict
        What was compared, and how.
    """

    rows: tuple[Row, ...]
    winner: str | None
    verdict: str
    code: str
    data: dict[str, Any]
    protocol: dict[str, Any]
    _study: Study = field(repr=False, compare=False)
    _results: Sequence[SplitResult] = field(repr=False, compare=False)

    def to_dict(self, *, command: str | None = None, saved: bool = False) -> dict[str, Any]:
        """Return everything as plain dicts, lists, strings and numbers, fit for strict JSON.

        Parameters
        ----------
        command : str, optional
            The command line that asked for it.
        saved : bool, default False
            Whether a model was saved beside it.

        Returns
        -------
        dict
            Infinite numbers are the string "inf", missing ones None.
        """
        plain: dict[str, Any] = _plain(
            {
                "version": __version__,
                "command": command,
                "data": self.data,
                "protocol": self.protocol,
                "rows": [_row_dict(row) for row in self.rows],
                "winner": self.winner,
                "verdict": self.verdict,
                "code": self.code,
                "saved": saved,
            }
        )
        return plain

    def save(
        self, directory: str | Path, force: bool = False, *, command: str | None = None
    ) -> None:
        """Write results, predictions and the winner, refitted on all rows, to a directory.

        It gets ``results.json``, ``predictions.parquet`` and ``model/``, each file written
        whole or not at all. The model is what `load_model` reads; where there is no winner it
        is plain cross entropy's. It is trained by the same protocol, without label noise or
        long tail.

        Parameters
        ----------
        directory : path
            Made if it is not there.
        force : bool, default False
            Whether to replace results that are already there.
        command : str, optional
            As for `to_dict`.

        Raises
        ------
        ValueError
            If the directory already holds results and `force` is false.
        """
        target = Path(directory)
        _saved.check_directory(target, force=force)
        _saved.write_model(target / _saved.MODEL, self._study, self.winner)
        _saved.write_predictions(target / _saved.PREDICTIONS, self._study, self._results)
        _saved.write_json(target / _saved.RESULTS, self.to_dict(command=command, saved=True))


def summarise(
    study: Study,
    results: Sequence[SplitResult],
    *,
    planned: int,
    interrupted: bool,
    name: str | None,
) -> CompareResult:
    """Make the result of the finished splits."""
    rows = _rows.make_rows(study, results)
    winner = _verdict.choose_winner(rows)
    return CompareResult(
        rows=tuple(rows),
        winner=winner,
        verdict=_verdict.verdict(study, results, rows),
        code=_verdict.code(study, winner),
        data=_data(study, name),
        protocol=_protocol(study)
        | {
            "splits_planned": planned,
            "splits_done": len(results),
            "interrupted": interrupted,
            "comparisons": len(_rows.compared(study, results)),
        },
        _study=study,
        _results=results,
    )


def _data(study: Study, name: str | None) -> dict[str, Any]:
    known = study.known_rows
    prior = shares(class_counts(study, known, study.codes[known]))
    return {
        "name": name,
        "rows": len(known),
        "features": study.schema.width if study.schema else math.prod(study.X.shape[1:]),
        "classes": [str(label) for label in study.classes],
        "class_counts": np.bincount(study.codes[known], minlength=len(study.classes)),
        "base_rate_entropy": -float(prior @ np.log2(prior)),
    }


def _protocol(study: Study) -> dict[str, Any]:
    protocol = study.protocol
    return {
        "folds": protocol.folds,
        "repeats": protocol.repeats,
        "seed": protocol.seed,
        "head": protocol.head if study.factory is None else "model",
        "epochs": protocol.epochs,
        "learning_rates": LEARNING_RATES,
        "label_noise": protocol.label_noise,
        "long_tail": protocol.long_tail,
        "clean_validation": protocol.clean_validation,
        "deploy_prior": protocol.deploy_prior,
        "test_rows": study.test_rows or None,
        "confidence": CONFIDENCE,
        "correction": "Holm",
        "variance": "over test rows" if study.test_rows else "Nadeau-Bengio",
    }


def _row_dict(row: Row) -> dict[str, Any]:
    described = {
        "name": row.name,
        "label": row.label,
        "kind": row.kind,
        "scores": {metric: score._asdict() for metric, score in row.scores.items()},
        "infinite_row": row.infinite_row,
        "learning_rates": row.learning_rates,
        "epochs": row.epochs,
        "temperatures": row.temperatures,
        "curve": {"epoch": range(1, len(row.curve) + 1), "log_loss": row.curve},
        "reliability": {"before": _curve(row.before), "after": _curve(row.after)},
    }
    if row.difference:
        described["difference"] = {
            metric: difference._asdict() for metric, difference in row.difference.items()
        }
    return described


def _curve(curve: ReliabilityCurve) -> dict[str, Any]:
    return {"confidence": curve.confidence, "accuracy": curve.accuracy, "count": curve.weight}


def _plain(value: Any) -> Any:
    """Turn arrays, numpy numbers and the floats that JSON lacks to plain values."""
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple, range)):
        return [_plain(item) for item in value]
    if isinstance(value, (np.ndarray, np.generic)):
        return _plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    return value
