"""`crossentropy report`: how good a model's probabilities are, and what is wrong with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from crossentropy._errors import InputError
from crossentropy._tables import SAMPLES, predictions_kind
from crossentropy.cli import _options
from crossentropy.cli._files import refuse_existing
from crossentropy.cli._terminal import show_report
from crossentropy.cli._thresholds import crossed, read_thresholds

CROSSED = 1


@click.command(short_help="Learn how good a model's probabilities are.")
@click.argument("predictions", required=False)
@click.option("--sample", type=click.Choice(list(SAMPLES)), help="Out-of-fold ones of real data.")
@_options.predictions
@click.option("--group", metavar="COLUMN", help="Score each group of this column by itself, too.")
@click.option("--baseline", metavar="OTHER", help="Another model's predictions of the same rows.")
@click.option("--in-sample", is_flag=True, help="The model was fitted on these rows.")
@click.option(
    "--max",
    "most",
    multiple=True,
    metavar="SCORE=VALUE",
    help="Exit with 1 above, as in log_loss=0.5bits.",
)
@click.option(
    "--min",
    "least",
    multiple=True,
    metavar="SCORE=VALUE",
    help="Exit with 1 below, as in accuracy=0.9.",
)
@click.option(
    "--max-rows",
    type=click.IntRange(10),
    default=200_000,
    show_default=True,
    help="Rows held in memory; of more, all are scored and a sample is diagnosed.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("crossentropy-report.html"),
    show_default=True,
    metavar="PAGE",
    help="The page to write.",
)
@click.option(
    "--json", "json_file", type=click.Path(path_type=Path), metavar="FILE", help="Every number."
)
@click.option("--force", is_flag=True, help="Write over PAGE and FILE.")
@click.pass_obj
def report(
    command: str | None,
    /,
    predictions: str | None,
    sample: str | None,
    most: tuple[str, ...],
    least: tuple[str, ...],
    out: Path,
    json_file: Path | None,
    force: bool,
    **options: Any,
) -> int:
    """Say how good the probabilities in PREDICTIONS are, and what is wrong with them.

    PREDICTIONS is a CSV, TSV, Parquet, Arrow or Feather file with a column y_true and columns
    p_CLASS (probabilities) or logit_CLASS, or an NPZ file with arrays y_true and proba or logits.
    Everything is in bits: what the predictions lose, what calibration would win back, and what each
    remedy is worth. The page needs no network and no script. Row numbers count from 1, the header
    left out.
    """
    if (predictions is None) == (sample is None):
        raise click.UsageError("give either PREDICTIONS, the path of a file, or --sample NAME")
    thresholds = read_thresholds(most, least)
    refuse_existing(out, force=force)
    if json_file is not None:
        refuse_existing(json_file, force=force, option="--json")
        if json_file.resolve() == out.resolve():
            raise click.UsageError("--out and --json are one file; name two")
    try:
        found = _of_sample(sample, **options) if sample else _of_file(str(predictions), **options)
    except InputError as error:  # how the reader and the scores speak of input they cannot use
        raise click.ClickException(str(error)) from error
    results = found.to_dict()
    found.save(out, command=command)
    if json_file is not None:
        found.save_json(json_file)
    show_report(results)
    click.echo(f"\nThe page: {out}")
    told = crossed(thresholds, results["scores"])
    for line in told:
        click.echo(f"crossed: {line}", err=True)
    return CROSSED if told else 0


def _of_sample(name: str, *, seed: int, max_rows: int, in_sample: bool, **others: Any) -> Any:
    if any(others[each] for each in ("kind", "columns", "classes", "weights", "group", "baseline")):
        raise click.UsageError("--sample has its own columns; leave out what names others")
    from crossentropy._report import report as study
    from crossentropy._report._sample import sample_predictions

    y, proba, labels = sample_predictions(name)
    return study(
        y,
        proba,
        input="proba",
        labels=labels,
        in_sample=in_sample,
        max_rows=max_rows,
        seed=seed,
        name=name,
    )


def _of_file(
    path: str,
    *,
    kind: Any,
    target: str,
    columns: tuple[str, ...],
    classes: tuple[str, ...],
    weights: str | None,
    group: str | None,
    baseline: str | None,
    in_sample: bool,
    max_rows: int,
    seed: int,
) -> Any:
    from crossentropy._report._result import Report
    from crossentropy._report._rows import from_file
    from crossentropy._report._study import examine

    if columns and kind is None:
        raise click.UsageError("say with --input whether these columns are logits or proba")
    read: dict[str, Any] = {
        "target": target,
        "weights": weights,
        "labels": classes or None,
        "most": max_rows,
        "seed": seed,
    }
    rows = from_file(
        path, input=kind or predictions_kind(path), columns=columns or None, group=group, **read
    )
    other = None
    if baseline is not None:
        # The other file says by itself what it holds, or holds what this one does.
        own = kind if columns else predictions_kind(baseline)
        other = from_file(baseline, input=own, columns=columns or None, **read)
    return Report(examine(rows, baseline=other, in_sample=in_sample, seed=seed))
