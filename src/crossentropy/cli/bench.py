"""`crossentropy bench`: speed, memory and accuracy beside the peers, on the user's machine."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from crossentropy._bench import QUICK, SECTIONS, Effort, measure
from crossentropy._files import replacing
from crossentropy._optional import require
from crossentropy.cli._files import refuse_existing

if TYPE_CHECKING:
    from crossentropy._bench import Table


@click.command(short_help="Measure speed, memory and accuracy beside the peers.")
@click.option(
    "--only",
    multiple=True,
    type=click.Choice(SECTIONS),
    help="Measure this section; can be given several times. Default: all.",
)
@click.option("--quick", is_flag=True, help="Fewer sizes and rounds.")
@click.option(
    "--json",
    "out",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write the figures to this file, too.",
)
@click.option("--force", is_flag=True, help="Write over FILE.")
def bench(only: tuple[str, ...], quick: bool, out: Path | None, force: bool) -> None:
    """Measure losses, scores and calibrators on this machine, beside the peers that are installed.

    Every figure is a ratio of medians of runs that take turns in one process, or an error
    against float64. Tables come as Markdown; a figure that misses its target is marked ✗.
    """
    if out is not None:
        refuse_existing(out, force=force, option="--json")
    require("torch", "torch")
    from crossentropy._bench._machine import machine

    # torch's compiler uses parts of torch that torch deprecates
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    here = machine()
    click.echo("\n".join(f"- {name}: {value}" for name, value in here.items()))
    sections = {
        name: _measured(name, QUICK if quick else Effort())
        for name in SECTIONS
        if not only or name in only
    }
    tables = [table for section in sections.values() for table in section]
    click.echo(f"\n{_summary(tables)}")
    if out is not None:
        _write(out, {"machine": here, "quick": quick, "sections": sections})


def _measured(section: str, effort: Effort) -> list[Table]:
    """The tables of a section, each shown as soon as it is there."""
    click.echo(f"measuring {section} …", err=True)
    tables = []
    for table in measure(section, effort):
        click.echo(f"\n{table.to_markdown()}")
        tables.append(table)
    return tables


def _summary(tables: list[Table]) -> str:
    figures = [figure for table in tables for figure in table.figures]
    promised = [figure for figure in figures if figure.target and figure.value is not None]
    missed = sum(figure.missed for figure in promised)
    return f"{len(promised) - missed} of {len(promised)} targets met."


def _write(out: Path, results: dict[str, Any]) -> None:
    sections = {
        name: [table.to_dict() for table in tables] for name, tables in results["sections"].items()
    }
    with replacing(out) as draft:
        text = json.dumps(results | {"sections": sections}, indent=2, allow_nan=False)
        draft.write_text(text + "\n", encoding="utf-8")
