"""A report: its numbers, and its page."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crossentropy._files import replacing


@dataclass(frozen=True)
class Report:
    """What `crossentropy.report` returns.

    Attributes
    ----------
    results
        Every number, losses in bits.
    """

    results: Mapping[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Return every number; infinity is "inf" and what cannot be said is None, as in JSON."""
        plain: dict[str, Any] = _plain(self.results)
        return plain

    def to_html(self, *, command: str | None = None) -> str:
        """Return the page, one HTML document that loads nothing.

        Parameters
        ----------
        command
            The command line that made it, for its foot.
        """
        from crossentropy._page import render

        from ._sections import report_page

        return render(report_page(self.to_dict(), command))

    def save(self, path: str | Path, *, command: str | None = None) -> None:
        """Write the page, whole or not at all; a file that is there is replaced.

        Parameters
        ----------
        path
            Where to.
        command
            As for `to_html`.
        """
        html = self.to_html(command=command)
        with replacing(Path(path)) as draft:
            draft.write_text(html, encoding="utf-8")

    def save_json(self, path: str | Path) -> None:
        """Write `to_dict` as JSON, whole or not at all.

        Parameters
        ----------
        path
            Where to.
        """
        with replacing(Path(path)) as draft:
            text = json.dumps(self.to_dict(), indent=2, allow_nan=False)
            draft.write_text(text + "\n", encoding="utf-8")


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else ("inf" if value > 0 else "-inf")
    return value.item() if hasattr(value, "item") else value
