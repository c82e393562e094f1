"""`crossentropy compare`: which loss a table of data wants."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from crossentropy._errors import InputError
from crossentropy._files import replacing
from crossentropy._progress import progress
from crossentropy._tables import SAMPLES, load_dataset, load_sample
from crossentropy.cli._files import refuse_unwritable
from crossentropy.cli._options import names, split
from crossentropy.cli._terminal import show

INTERRUPTED = 130
_RESULTS = ("report.html", "results.json", "predictions.parquet", "model")


@click.command(short_help="Learn which loss a table of data wants.")
@click.argument("data", required=False)
@click.option("--target", metavar="COLUMN", help="Column of the labels (NPZ: array, default y).")
@click.option("--sample", type=click.Choice(list(SAMPLES)), help="Real data in scikit-learn.")
@click.option(
    "--drop", multiple=True, callback=split, metavar="COLUMNS", help="Columns to leave out."
)
@click.option("--weights", metavar="COLUMN", help="Column of row weights.")
@click.option("--groups", metavar="COLUMN", help="Column of groups that folds keep together.")
@click.option("--test", metavar="FILE", help="Score on this file instead of folds.")
@click.option("--losses", multiple=True, callback=split, metavar="NAMES", help="Losses, by name.")
@click.option("--head", type=click.Choice(["linear", "mlp"]), default="mlp", show_default=True)
@click.option("--folds", type=click.IntRange(2), default=5, show_default=True)
@click.option("--repeats", type=click.IntRange(1), default=2, show_default=True)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--jobs", type=click.IntRange(1), help="Processes; default: one for each core.")
@click.option(
    "--label-noise",
    type=click.FloatRange(0, 1, max_open=True),
    default=0.0,
    metavar="SHARE",
    help="Replace this share of the training labels.",
)
@click.option(
    "--long-tail",
    type=click.FloatRange(1),
    metavar="RATIO",
    help="Thin out training classes until the first has RATIO times the rows of the last.",
)
@click.option("--clean-validation", is_flag=True, help="Keep label noise out of validation rows.")
@click.option(
    "--deploy-prior",
    default="train",
    show_default=True,
    metavar="PRIOR",
    help="Class prior to correct to: train, uniform, or class=probability,…",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("crossentropy-compare"),
    show_default=True,
    metavar="DIR",
    help="Directory of the results.",
)
@click.option("--force", is_flag=True, help="Write over earlier results in DIR.")
@click.option("--json", "as_json", is_flag=True, help="Print the results as JSON.")
@click.pass_obj
def compare(
    command: str | None,
    /,
    data: str | None,
    target: str | None,
    sample: str | None,
    drop: tuple[str, ...],
    weights: str | None,
    groups: str | None,
    test: str | None,
    losses: tuple[str, ...],
    deploy_prior: str,
    out: Path,
    force: bool,
    as_json: bool,
    **protocol: Any,
) -> int:
    """Train the same model under each loss and show which one DATA wants.

    DATA is a CSV, TSV, Parquet, Arrow or Feather file with a column of labels, or an NPZ file
    with arrays X and y. Every loss is tuned, calibrated and scored on rows it has not seen; the
    differences come in bits, with intervals. DIR receives report.html, results.json,
    predictions.parquet and the winner in model/, for `crossentropy predict`.
    """
    if (data is None) == (sample is None):
        raise click.UsageError("give either DATA, the path of a table, or --sample NAME")
    if sample is not None and (target or drop or weights or groups or test):
        raise click.UsageError("--sample has its own columns; leave out what names others")
    _refuse_results(out, force=force)
    try:
        if sample is not None:
            dataset = load_sample(sample)
        else:
            dataset = load_dataset(
                str(data), target=target, drop=drop, weights=weights, groups=groups
            )
        tested: tuple[Any, ...] | None = None
        if test is not None:
            rows = load_dataset(test, target=target, weights=weights, like=dataset)
            tested = (rows.X, rows.y, rows.sample_weight)
        with progress(f"comparing losses on {dataset.name}") as moved:
            from crossentropy._compare import compare as study

            result = study(
                dataset.X,
                dataset.y,
                losses=losses or None,
                deploy_prior=_prior(deploy_prior, dataset.y),
                sample_weight=dataset.sample_weight,
                groups=dataset.groups,
                test=tested,
                progress=moved,
                name=dataset.name,
                **protocol,
            )
    except InputError as error:  # how the reader and the study speak of input they cannot use
        raise click.ClickException(str(error)) from error
    result.save(out, force=force, command=command)
    return _hand_over(result.to_dict(command=command, saved=True), out, as_json=as_json)


def _refuse_results(out: Path, *, force: bool) -> None:
    found = next((name for name in _RESULTS if (out / name).exists()), None)
    if found is not None and not force:
        raise click.ClickException(
            f"{str(out)!r} already holds {found}; choose another --out or write over it with "
            "--force"
        )
    refuse_unwritable(out)


def _prior(text: str, y: NDArray[Any]) -> dict[str, float] | None:
    """Read the prior of deployment; the study checks that it is one."""
    if text == "train":
        return None
    if text == "uniform":
        classes = np.unique(y)
        return {str(label): 1 / len(classes) for label in classes}
    prior = {}
    for part in names(text):
        label, _, share = part.rpartition("=")
        try:
            prior[label] = float(share)
        except ValueError:
            raise InputError(
                f"--deploy-prior {part!r} is no class=probability; wanted train, uniform, or one "
                "probability for each class, as in yes=0.1,no=0.9"
            ) from None
    return prior


def _hand_over(results: Mapping[str, Any], out: Path, *, as_json: bool) -> int:
    """Write the page, print the results, and return the exit status."""
    from crossentropy._compare._sections import compare_page
    from crossentropy._page import render

    with replacing(out / "report.html") as draft:
        draft.write_text(render(compare_page(results)), encoding="utf-8")
    if as_json:
        click.echo(json.dumps(results, indent=2, allow_nan=False))
    else:
        show(results)
        click.echo(f"\nThe page: {out / 'report.html'}")
    if not results["protocol"]["interrupted"]:
        return 0
    click.echo("interrupted: what was finished is kept, and the page says so", err=True)
    return INTERRUPTED
