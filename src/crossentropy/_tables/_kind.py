"""What a file of predictions says that it holds: by the names of its columns or arrays."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Literal

from crossentropy._errors import InputError, closest

from ._batches import open_batches
from ._files import existing

PREFIX = {"logits": "logit_", "proba": "p_"}


def predictions_kind(path: str | Path) -> Literal["logits", "proba"]:
    """Return what the predictions in a file are called: logits or probabilities.

    Parameters
    ----------
    path
        A table with columns ``p_<class>`` or ``logit_<class>``, or NPZ with an array ``proba`` or
        ``logits``.

    Raises
    ------
    InputError
        If it holds neither, or both.
    """
    path = existing(path)
    if path.suffix.lower() == ".npz":
        names = _arrays(path)
        found = {kind for kind in PREFIX if kind in names}
        wanted = "an array proba or logits"
    else:
        names = open_batches(path).names
        found = {
            kind
            for kind, prefix in PREFIX.items()
            if sum(name.startswith(prefix) for name in names) > 1
        }
        wanted = "columns p_<class> or logit_<class>"
    if len(found) == 1:
        return "logits" if "logits" in found else "proba"
    has = "both kinds of predictions" if found else "no predictions that their names tell"
    raise InputError(
        f"{path.name!r} holds {has}; wanted {wanted}, or say --input logits or --input proba and "
        f"name the columns with --columns: {closest('', names)}"
    )


def _arrays(path: Path) -> list[str]:
    try:
        with zipfile.ZipFile(path) as archive:
            return [name.removesuffix(".npy") for name in archive.namelist()]
    except (zipfile.BadZipFile, OSError) as error:
        raise InputError(f"{path.name!r} is not whole; was it cut short?") from error
