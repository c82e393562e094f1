"""Places that commands write to: never over other files unasked."""

from __future__ import annotations

import os
from pathlib import Path

import click


def refuse_existing(path: Path, *, force: bool, option: str = "--out") -> None:
    """Refuse to write over a file, or where nothing can be written, before any work is done."""
    if path.is_dir():
        raise click.ClickException(f"{str(path)!r} is a directory; name a file")
    if path.exists() and not force:
        raise click.ClickException(
            f"{str(path)!r} exists; choose another name or overwrite it with --force"
        )
    refuse_unwritable(path.parent, option=option)


def refuse_unwritable(directory: Path, *, option: str = "--out") -> None:
    """Refuse a directory that cannot be made or written into."""
    existing = directory
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    if not existing.is_dir() or not os.access(existing, os.W_OK):
        raise click.ClickException(
            f"cannot write into {str(existing)!r}; choose another place with {option}"
        )
