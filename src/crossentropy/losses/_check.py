"""Checks of a loss's parameters, where it is made, and of what its array methods are given."""

from __future__ import annotations

import math

import numpy as np

from crossentropy._arrays import Array, device_of, namespace
from crossentropy._errors import InputError


def at_least(low: float, **parameters: float) -> None:
    """Raise ValueError unless every parameter is a finite number ≥ low."""
    for name, value in parameters.items():
        if not low <= value < math.inf:
            raise InputError(f"{name} must be a number of at least {low}, got {value}")


def between(low: float, high: float, **parameters: float) -> None:
    """Raise ValueError unless every parameter lies in [low, high]."""
    for name, value in parameters.items():
        if not low <= value <= high:
            raise InputError(f"{name} must lie in [{low}, {high}], got {value}")


def positive(**parameters: float) -> None:
    """Raise ValueError unless every parameter is a finite number > 0."""
    for name, value in parameters.items():
        if not 0 < value < math.inf:
            raise InputError(f"{name} must be a positive number, got {value}")


def distribution(values: Array, classes: int, name: str) -> None:
    """Raise ValueError unless values are C probabilities, ≥ 0 and of sum 1 within 1e-5."""
    xp = namespace(values)
    if tuple(values.shape) != (classes,):
        raise InputError(
            f"{name} must hold a probability for each of the {classes} classes, "
            f"got shape {tuple(values.shape)}"
        )
    total = float(xp.sum(xp.astype(values, xp.float64)))
    if not bool(xp.all(values >= 0)) or not abs(total - 1) <= 1e-5:
        raise InputError(
            f"{name} must be probabilities of at least 0 that sum to 1, got numbers that sum to "
            f"{total:g}, the least {float(xp.min(values)):g}; divide counts by their sum"
        )


def shape(name: str, values: Array | None, wanted: tuple[int, ...]) -> None:
    """Raise ValueError unless an optional argument has the shape."""
    if values is not None and tuple(np.shape(values)) != wanted:
        raise InputError(f"{name} must have shape {wanted}, got {tuple(np.shape(values))}")


def output(
    name: str, out: Array | None, like: Array, shape: tuple[int, ...], dtype: object
) -> None:
    """Raise ValueError unless a caller's output, if any, can take what will be written."""
    if out is None:
        return
    try:
        beside = namespace(out, like) and device_of(out) == device_of(like)
    except TypeError:  # no array, or of another library
        beside = False
    if not beside:
        raise InputError(
            f"{name} must be a {type(like).__name__} on the logits' device, got "
            f"{type(out).__name__}"
        )
    if tuple(out.shape) != shape or out.dtype != dtype:
        raise InputError(
            f"{name} must have shape {shape} and type {dtype}, "
            f"got {tuple(out.shape)} and {out.dtype}"
        )
    if isinstance(out, np.ndarray) and not out.flags.writeable:
        raise InputError(f"{name} must be writeable, got a read-only array; pass a copy")


def transition_matrix(values: Array) -> np.ndarray:
    """(C, C) float64; ValueError unless its rows are probabilities and no column is all zeros."""
    try:
        matrix = np.asarray(values, dtype=np.float64)
    except ValueError:  # ragged, or no numbers
        raise InputError(
            "transition must be a matrix of numbers, with lines of one length"
        ) from None
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not matrix.size:
        raise InputError(f"transition must have shape (C, C), got {matrix.shape}")
    if not ((matrix >= 0) & (matrix <= 1)).all():
        raise InputError(
            "transition must hold probabilities in [0, 1], got numbers from "
            f"{matrix.min():g} to {matrix.max():g}; divide counts by the sums of their rows"
        )
    off = np.abs(matrix.sum(1) - 1)
    if off.max() > 1e-5:
        worst = int(off.argmax())
        transposed = np.abs(matrix.sum(0) - 1).max() <= 1e-5
        raise InputError(
            "rows of transition must sum to 1, for transition[i, j] is the probability that class "
            f"i is labelled j, got {matrix[worst].sum():g} in row {worst}; "
            + ("its columns do: give the transpose" if transposed else "divide rows by their sums")
        )
    never = np.flatnonzero(~matrix.any(0))
    if never.size:
        raise InputError(
            f"transition must give every label some probability, got a column of zeros: label "
            f"{never[0]} is never observed; leave such classes out"
        )
    return matrix
