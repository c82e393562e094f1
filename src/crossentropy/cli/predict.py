"""`crossentropy predict`: probabilities from a model that a comparison saved."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from crossentropy._compare import load_model
from crossentropy._errors import InputError
from crossentropy._files import replacing
from crossentropy._optional import require
from crossentropy._tables import load_features
from crossentropy.cli._files import refuse_existing

if TYPE_CHECKING:
    import pandas as pd


@click.command(short_help="Predict with the model that compare saved.")
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("data")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="CSV or Parquet file to write; default: CSV on standard output.",
)
@click.option("--force", is_flag=True, help="Write over FILE.")
def predict(model: Path, data: str, out: Path | None, force: bool) -> None:
    """Predict the class probabilities of the rows of DATA.

    MODEL is the directory model/ that `crossentropy compare` wrote, DATA a table with the same
    features, or NPZ with an array X. The columns written are p_CLASS, one for each class.
    """
    if out is not None:
        if out.suffix.lower() not in (".csv", ".parquet"):
            raise click.UsageError(f"--out {str(out)!r}: wanted a name ending in .csv or .parquet")
        refuse_existing(out, force=force)
    try:
        frame = _probabilities(model, data)
    except InputError as error:  # how the reader and the model speak of input they cannot use
        raise click.ClickException(str(error)) from error
    if out is None:
        frame.to_csv(sys.stdout, index=False, lineterminator="\n")
        return
    with replacing(out) as draft:
        if out.suffix.lower() == ".csv":
            frame.to_csv(draft, index=False, lineterminator="\n")
        else:
            frame.to_parquet(draft, index=False)


def _probabilities(model: Path, data: str) -> pd.DataFrame:
    saved = load_model(model)
    schema = saved.schema
    assert schema is not None, "only a network of the user's own takes X as it is"
    X = load_features(data, names=schema.names or None, text=schema.categorical)
    frame: pd.DataFrame = require("pandas", "cli").DataFrame(
        saved.predict_proba(X), columns=[f"p_{label}" for label in saved.classes_]
    )
    return frame
