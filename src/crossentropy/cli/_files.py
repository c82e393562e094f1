"""Files that commands write: never over others unasked, never half."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import click


def refuse_existing(path: Path, *, force: bool) -> None:
    """Refuse to write over a file, or where nothing can be written, before any work is done."""
    if path.is_dir():
        raise click.ClickException(f"{str(path)!r} is a directory; name a file")
    if path.exists() and not force:
        raise click.ClickException(
            f"{str(path)!r} exists; choose another name or overwrite it with --force"
        )
    refuse_unwritable(path.parent)


def refuse_unwritable(directory: Path) -> None:
    """Refuse a directory that cannot be made or written into."""
    existing = directory
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    if not existing.is_dir() or not os.access(existing, os.W_OK):
        raise click.ClickException(
            f"cannot write into {str(existing)!r}; choose another place with --out"
        )


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Offer a file to write to, and put it in the place of `path` once it is whole.

    Parameters
    ----------
    path
        Where the file shall stand in the end; its directory is made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.part")
    try:
        yield draft
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
