"""Fitted calibrators as JSON: their class, their options and what they have learnt."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from crossentropy import _files
from crossentropy._errors import InputError, closest

if TYPE_CHECKING:
    from ._base import Calibrator

_FORMAT = "crossentropy calibrator"
_VERSION = 1
_KINDS = "biufU"  # of arrays: truth values, numbers, text


def write(path: Path, calibrator: Calibrator, learnt: tuple[str, ...]) -> None:
    """Write a fitted calibrator, whole or not at all."""
    params = {name: _plain(value) for name, value in calibrator.get_params(deep=False).items()}
    document = {
        "format": _FORMAT,
        "version": _VERSION,
        "class": type(calibrator).__name__,
        "parameters": params,
        "learnt": {name: _plain(getattr(calibrator, name)) for name in learnt},
    }
    text = json.dumps(document, indent=1, allow_nan=False)
    with _files.replacing(path) as draft:
        draft.write_text(text + "\n", encoding="utf-8")


def read(path: Path, base: type[Calibrator]) -> Calibrator:
    """Read a calibrator of one of the subclasses of `base`."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document["format"] != _FORMAT:
            raise KeyError("format")
        version, name = document["version"], document["class"]
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise InputError(f"{path} is no calibrator that save has written") from error
    if version != _VERSION:
        raise InputError(f"{path} has version {version}; this package reads {_VERSION}")
    known = {cls.__name__: cls for cls in _subclasses(base)}
    if name not in known:
        raise InputError(f"{path} holds a {name!r}, which is no calibrator; {closest(name, known)}")
    try:
        calibrator = known[name](**{k: _value(v) for k, v in document["parameters"].items()})
        wanted = {"classes_", "n_features_in_", *calibrator._learnt}
        if document["learnt"].keys() != wanted:
            raise KeyError("learnt")
        for attribute, value in document["learnt"].items():
            setattr(calibrator, attribute, _value(value))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{path} is damaged: it holds no whole {name}") from error
    return calibrator


def _subclasses(base: type[Calibrator]) -> list[type[Calibrator]]:
    below = [c for child in base.__subclasses__() for c in (child, *_subclasses(child))]
    return [c for c in below if not getattr(c, "__abstractmethods__", None)]


def _plain(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, np.generic):
        value = value.item()
    if not isinstance(value, np.ndarray):
        return value
    if value.dtype == object and all(isinstance(v, str) for v in value.flat):
        value = value.astype(str)
    if value.dtype.kind not in _KINDS:
        raise InputError(f"labels of type {value.dtype} cannot be saved; use numbers or text")
    return {"dtype": value.dtype.str, "values": value.tolist()}


def _value(value: Any) -> Any:
    if isinstance(value, list):
        return [_value(v) for v in value]
    if not isinstance(value, dict):
        return value
    dtype = np.dtype(value["dtype"])
    if dtype.kind not in _KINDS:
        raise TypeError(dtype)
    return np.asarray(value["values"], dtype=dtype)
