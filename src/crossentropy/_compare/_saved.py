"""Results and models on disk, without pickle.

A model is three files: its weights (safetensors), what they mean (JSON) and the preprocessing
(skops, which loads only types that it knows to be harmless). Every file is written beside its
place and moved there when it is whole.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from crossentropy._config import __version__
from crossentropy._errors import InputError
from crossentropy._files import replacing
from crossentropy._optional import require
from crossentropy._predictions import softmax

from ._candidates import BASELINE
from ._heads import make_head
from ._plan import Study
from ._preprocessing import Schema, transform
from ._readout import Readout
from ._study import SplitResult, refit
from ._training import predict

Array = NDArray[Any]

RESULTS, PREDICTIONS, MODEL = "results.json", "predictions.parquet", "model"
_DESCRIPTION, _WEIGHTS, _PREPROCESSING = "model.json", "model.safetensors", "preprocessing.skops"
_TRUSTED = ["numpy.dtype"]  # all that skops does not trust by itself in our preprocessing
_FORMAT = 1


def check_directory(directory: Path, *, force: bool) -> None:
    """Refuse a directory that already holds results, or a path that is no directory."""
    if directory.exists() and not directory.is_dir():
        raise InputError(f"{directory} is a file; name a directory for the results")
    held = [name for name in (RESULTS, PREDICTIONS, MODEL) if (directory / name).exists()]
    if held and not force:
        raise InputError(
            f"{directory} already holds {' and '.join(held)}; choose another directory, or force "
            "to replace them"
        )


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write strict JSON."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1, allow_nan=False), encoding="utf-8")


def write_predictions(path: Path, study: Study, results: Sequence[SplitResult]) -> None:
    """Write logits and labels of all test rows, in long format.

    ``softmax(logit / temperature)`` are the probabilities that the log loss scores; without a
    prior to correct, the logits are the network's own.
    """
    pandas = require("pandas", "cli")
    first = len(study.known_rows) if study.test_rows else 0
    parts = []
    for (repeat, fold, _, test), _, _, outcomes in results:
        for name, outcome in outcomes.items():
            beta = outcome.readout.beta
            logits = outcome.readout.calibrated(outcome.logits) / beta
            columns = {"candidate": name, "repeat": repeat, "fold": fold, "row": test - first}
            columns |= {"y_true": study.classes[study.codes[test]], "temperature": 1 / beta}
            columns |= {
                f"logit_{label}": logits[:, k].astype(np.float32)
                for k, label in enumerate(study.classes)
            }
            parts.append(pandas.DataFrame(columns))
    with replacing(path) as temporary:
        pandas.concat(parts, ignore_index=True).to_parquet(temporary, index=False)


def write_model(directory: Path, study: Study, name: str | None) -> None:
    """Refit a row of the result, plain cross entropy for None, and write it."""
    candidate, prepared, trained, readout = refit(study, name or BASELINE)
    description = {
        "format": _FORMAT,
        "version": __version__,
        "loss": name or BASELINE,
        "label": candidate.label,
        "head": study.protocol.head if study.factory is None else None,
        "inputs": int(np.prod(prepared.fit.X.shape[1:])),
        "classes": study.classes.tolist(),
        "before": readout.before.tolist(),
        "beta": readout.beta,
        "after": readout.after.tolist(),
        "schema": None if study.schema is None else asdict(study.schema),
    }
    state = {key: value.contiguous() for key, value in trained.model.state_dict().items()}
    with replacing(directory / _WEIGHTS) as temporary:
        require("safetensors.torch", "cli").save_file(state, temporary)
    with replacing(directory / _PREPROCESSING) as temporary:
        require("skops.io", "cli").dump(prepared.preprocessor, temporary)
    write_json(directory / _DESCRIPTION, description)


@dataclass(frozen=True)
class SavedModel:
    """A model that was trained by a study, ready to predict.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Labels of the columns.
    loss : str
        Name of the row of the result that it comes from.
    schema : Schema or None
        Of the tables it takes; None where a network of the user's own takes X as it is.
    """

    classes_: Array
    loss: str
    schema: Schema | None
    _network: torch.nn.Module
    _readout: Readout
    _preprocessor: Any

    def predict_proba(self, X: Any) -> Array:
        """Return calibrated probabilities.

        Parameters
        ----------
        X : DataFrame or array-like
            With the columns that the model was trained on; others are not looked at.

        Returns
        -------
        ndarray of shape (n_rows, n_classes)
            Probabilities, float64.

        Raises
        ------
        ValueError
            If columns are missing or hold something else than in training.
        """
        if self.schema is None:
            inputs = np.asarray(X, dtype=np.float32)
        else:
            inputs = transform(self._preprocessor, self.schema.tidy(X))
        return softmax(self._readout.calibrated(predict(self._network, inputs)))

    def predict(self, X: Any) -> Array:
        """Return the most probable label of each row."""
        labels: Array = self.classes_[self.predict_proba(X).argmax(axis=1)]
        return labels


def load_model(
    directory: str | Path, *, model: Callable[[int], torch.nn.Module] | None = None
) -> SavedModel:
    """Load a model that `CompareResult.save` wrote.

    Parameters
    ----------
    directory : path
        The directory of the results, or ``model`` within it.
    model : callable, optional
        The factory that was given to `compare`, where one was.

    Returns
    -------
    SavedModel
        With ``classes_``, ``predict_proba`` and ``predict``.

    Raises
    ------
    ValueError
        If files are missing or damaged, or `model` is needed and not given.
    """
    place = Path(directory)
    if (place / MODEL / _DESCRIPTION).exists():
        place = place / MODEL
    if not (place / _DESCRIPTION).exists():
        raise InputError(f"{directory} holds no model; name a directory that compare wrote")
    with _readable(place / _DESCRIPTION) as path:
        said = json.loads(path.read_text(encoding="utf-8"))
        if said["format"] != _FORMAT:
            raise InputError(f"format {said['format']}, and this version reads {_FORMAT}")
        readout = Readout(np.array(said["before"]), said["beta"], np.array(said["after"]))
        schema = None if said["schema"] is None else Schema(**said["schema"])
        classes = np.array(said["classes"])
        head, inputs = said["head"], said["inputs"]
    if head is None and model is None:
        raise InputError(
            "this model is of your own architecture: pass the factory that compare was given as "
            "model="
        )
    network = make_head(head, inputs, len(classes)) if model is None else model(len(classes))
    with _readable(place / _WEIGHTS) as path:
        network.load_state_dict(require("safetensors.torch", "cli").load_file(path))
    with _readable(place / _PREPROCESSING) as path:
        preprocessor = require("skops.io", "cli").load(path, trusted=_TRUSTED)
    return SavedModel(classes, said["loss"], schema, network, readout, preprocessor)


@contextlib.contextmanager
def _readable(path: Path) -> Iterator[Path]:
    """Turn whatever a missing or damaged file raises into one sentence."""
    try:
        yield path
    except Exception as error:  # each format has its own errors, and all mean the same
        reason = "is missing" if isinstance(error, FileNotFoundError) else f"is damaged ({error})"
        raise InputError(f"{path} {reason}; save the model again") from error
