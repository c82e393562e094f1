"""`crossentropy calibrate`: fit a calibrator to predictions, or apply one."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from crossentropy._errors import InputError, closest
from crossentropy._files import replacing
from crossentropy._optional import require
from crossentropy._page.numbers import number
from crossentropy._tables import PREFIX, open_batches, predictions_kind, read_arrays
from crossentropy.cli import _options
from crossentropy.cli._files import refuse_existing

if TYPE_CHECKING:
    from crossentropy._predictions import Array

_METHODS = (
    "auto",
    "temperature",
    "vector",
    "matrix",
    "platt",
    "quadratic",
    "beta",
    "isotonic",
)
_BATCH = 2**16
_BIT = math.log(2)


@click.command(short_help="Make a model's probabilities mean what they say.")
@click.argument("predictions")
@click.option(
    "--method",
    type=click.Choice(_METHODS),
    default="auto",
    show_default=True,
    help="auto: the lowest cross-fitted log loss.",
)
@click.option(
    "--apply",
    "calibrator",
    type=click.Path(path_type=Path),
    metavar="CALIBRATOR",
    help="Apply this calibrator; nothing is fitted, and no labels are needed.",
)
@_options.predictions
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="CSV or Parquet file of calibrated predictions.",
)
@click.option(
    "--save", type=click.Path(path_type=Path), metavar="CALIBRATOR", help="JSON file to --apply."
)
@click.option("--force", is_flag=True, help="Write over FILE and CALIBRATOR.")
def calibrate(
    predictions: str,
    method: str,
    calibrator: Path | None,
    kind: Any,
    target: str,
    columns: tuple[str, ...],
    classes: tuple[str, ...],
    weights: str | None,
    seed: int,
    out: Path | None,
    save: Path | None,
    force: bool,
) -> None:
    """Fit a calibrator to PREDICTIONS, or apply a fitted one to them.

    PREDICTIONS is a file as for `crossentropy report`: rows that the model was not fitted on.
    FILE gets columns p_CLASS in place of the predictions; its other columns stay.
    """
    _refuse(out, save, calibrator, predictions, columns, kind, force=force)
    try:
        kind = kind or predictions_kind(predictions)
        if calibrator is not None:
            fitted = _load(calibrator, kind)
        else:
            fitted = _fit(predictions, method, kind, target, columns, classes, weights, seed)
        if out is not None:
            with replacing(out) as draft:
                _write(draft, predictions, fitted, columns)
    except InputError as error:  # how the reader and the calibrators speak of unusable input
        raise click.ClickException(str(error)) from error
    if save is not None:
        fitted.save(save)
    for place in (out, save):
        if place is not None:
            click.echo(f"Written: {place}")


def _refuse(
    out: Path | None,
    save: Path | None,
    calibrator: Path | None,
    predictions: str,
    columns: tuple[str, ...],
    kind: str | None,
    *,
    force: bool,
) -> None:
    """Refuse what cannot be done before anything is read."""
    if out is None and (save is None or calibrator is not None):
        raise click.UsageError("say with --out where the calibrated predictions go")
    if save is not None and calibrator is not None:
        raise click.UsageError("--apply fits nothing, so there is nothing to --save")
    if columns and kind is None:
        raise click.UsageError("say with --input whether these columns are logits or proba")
    if out is not None and out.suffix.lower() not in (".csv", ".parquet"):
        raise click.UsageError(f"--out {str(out)!r}: wanted a name ending in .csv or .parquet")
    places = [place.resolve() for place in (out, save, Path(predictions)) if place is not None]
    if len(set(places)) < len(places):
        raise click.UsageError("what is read and what is written are one file; name others")
    for place, option in ((out, "--out"), (save, "--save")):
        if place is not None:
            refuse_existing(place, force=force, option=option)


def _load(path: Path, kind: str) -> Any:
    from crossentropy.calibration import Calibrator

    if not path.is_file():
        raise InputError(f"there is no calibrator {str(path)!r}; --save of a fit writes one")
    fitted = Calibrator.load(path)
    if fitted.input != kind:
        raise InputError(
            f"{path.name!r} was fitted on {fitted.input}, and these predictions are {kind}; give "
            "predictions of the kind that it knows"
        )
    return fitted


def _fit(
    path: str,
    method: str,
    kind: Any,
    target: str,
    columns: tuple[str, ...],
    classes: tuple[str, ...],
    weights: str | None,
    seed: int,
) -> Any:
    """Fit, and print the scores before and after, on rows not fitted and on the fitted ones."""
    from crossentropy._report._rows import from_file
    from crossentropy.calibration import default_candidates, select_calibrator

    rows = from_file(
        path,
        input=kind,
        target=target,
        columns=columns or None,
        weights=weights,
        labels=classes or None,
        most=2**62,
        seed=seed,
    )
    impossible = np.isneginf(rows.values[np.arange(len(rows.codes)), rows.codes])
    if impossible.any():
        row = int(rows.row[impossible.argmax()]) + 1
        raise InputError(
            f"{rows.name!r}: row {row} gives its label a logit of minus infinity, which no "
            "temperature mends; leave the row out, or give the label a finite logit"
        )
    candidates = default_candidates(kind, len(rows.labels), rows.labels)
    if method != "auto":
        candidates = {"none": candidates["none"], method: _make(method, kind, rows.labels)}
    y = rows.labels[rows.codes]
    found = select_calibrator(
        rows.values,
        y,
        input=kind,
        classes=rows.labels,
        candidates=candidates,
        sample_weight=rows.weight,
        seed=seed,
    )
    name, fitted = found.name, found.calibrator
    if method not in ("auto", name):
        name, fitted = method, candidates[method].fit(rows.values, y, rows.weight)
    proba = fitted.predict_proba(rows.values)
    with np.errstate(divide="ignore"):
        own = -np.log2(proba[np.arange(len(proba)), rows.codes])
    sample = f"{rows.count:,} rows"
    if rows.sampled:
        sample = f"a random sample of {len(rows.row):,} of {sample}"
    floored = rows.evaluation.result().infinite_rows > 0
    for line in (
        f"{name}, fitted on {sample}. Log loss in bits per row:",
        f"  {number(found.log_loss['none'] / _BIT)} before"
        + (" (exact zeros count as 126 bits)" if floored else ""),
        f"  {number(found.log_loss[name] / _BIT)} after, cross-fitted: each row by a calibrator "
        "fitted on others",
        f"  {number(float(np.average(own, weights=rows.weight)))} after, on the very rows that "
        "fitted it: flattering, do not quote it",
    ):
        click.echo(line)
    if found.log_loss[name] > found.log_loss["none"]:
        click.echo(f"warning: cross-fitted, {name} does worse than no calibration", err=True)
    return fitted


def _make(method: str, kind: Any, labels: Array) -> Any:
    from crossentropy import calibration

    known = {
        "temperature": calibration.TemperatureScaling,
        "vector": calibration.VectorScaling,
        "matrix": calibration.MatrixScaling,
        "platt": calibration.PlattScaling,
        "quadratic": calibration.QuadraticScaling,
        "beta": calibration.BetaCalibration,
        "isotonic": calibration.IsotonicCalibration,
    }
    return known[method](input=kind, classes=labels)


def _write(draft: Path, path: str, fitted: Any, columns: tuple[str, ...]) -> None:
    """Write the calibrated table batch by batch."""
    pa = require("pyarrow", "cli")
    writer: Any = None
    try:
        for others, values in _batches(path, fitted, columns):
            proba = fitted.predict_proba(values)
            names = [f"p_{label}" for label in fitted.classes_]
            arrays = [*others.values(), *(pa.array(column) for column in proba.T)]
            batch = pa.table(dict(zip([*others, *names], arrays, strict=True)))
            if writer is None:
                writer = _writer(draft, batch.schema)
            writer.write_table(batch)
    finally:
        if writer is not None:
            writer.close()
    if writer is None:
        raise InputError(f"{Path(path).name!r} is empty: it has no row")


def _writer(draft: Path, schema: Any) -> Any:
    if draft.suffix.lower() == ".csv":
        return require("pyarrow.csv", "cli").CSVWriter(draft, schema)
    return require("pyarrow.parquet", "cli").ParquetWriter(draft, schema)


def _batches(
    path: str, fitted: Any, columns: tuple[str, ...]
) -> Iterator[tuple[dict[str, Any], Array]]:
    """Other columns, and predictions in the order of the calibrator's classes."""
    if Path(path).suffix.lower() == ".npz":
        yield from _array_batches(path, fitted, columns)
        return
    table = open_batches(path)
    wanted = columns or [f"{PREFIX[fitted.input]}{label}" for label in fitted.classes_]
    for name in wanted:
        if name not in table.names:
            raise InputError(f"{table.name!r} has no column {name!r}: {closest(name, table.names)}")
    written = {f"p_{label}" for label in fitted.classes_}
    kept = [name for name in table.names if name not in wanted and name not in written]
    first = 0
    for batch in table.read([*kept, *wanted], _BATCH, kept):
        values = _numbers(table.name, batch, wanted, first, fitted.input)
        yield {name: batch.column(name) for name in kept}, values
        first += batch.num_rows


def _numbers(table: str, batch: Any, wanted: Iterable[str], first: int, kind: str) -> Array:
    columns = []
    for name in wanted:
        column = np.asarray(batch.column(name).to_numpy(zero_copy_only=False))
        if column.dtype.kind not in "fiu":
            raise InputError(f"{table!r}: column {name!r} holds {column.dtype}, wanted numbers")
        column = column.astype(np.float64)
        bad = np.isnan(column) | (column == np.inf) | ((column < 0) & (kind == "proba"))
        if bad.any():
            row = int(bad.argmax())
            raise InputError(
                f"{table!r}: column {name!r} holds {column[row]} in row {first + row + 1}; wanted "
                f"{'a probability' if kind == 'proba' else 'a number'}"
            )
        columns.append(column)
    return np.column_stack(columns)


def _array_batches(
    path: str, fitted: Any, columns: tuple[str, ...]
) -> Iterator[tuple[dict[str, Any], Array]]:
    pa = require("pyarrow", "cli")
    arrays = read_arrays(path)
    name = columns[0] if columns else fitted.input
    if name not in arrays:
        raise InputError(f"{Path(path).name!r} has no array {name!r}: {closest(name, arrays)}")
    values = arrays.pop(name)
    beside = {n: a for n, a in arrays.items() if a.ndim == 1 and len(a) == len(values)}
    for start in range(0, len(values), _BATCH):
        part = slice(start, start + _BATCH)
        yield {n: pa.array(a[part]) for n, a in beside.items()}, values[part]
