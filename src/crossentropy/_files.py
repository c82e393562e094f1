"""Files that are written whole or not at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Offer a file to write to, and put it in the place of `path` once it is whole.

    Parameters
    ----------
    path
        Where the file shall stand in the end; its directory is made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".writing-") as beside:
        draft = Path(beside) / path.name
        yield draft
        os.replace(draft, path)
