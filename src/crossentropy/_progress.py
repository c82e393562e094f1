"""A progress bar on stderr, for what takes long."""

from __future__ import annotations

import contextlib
import importlib.util
import sys
from collections.abc import Callable, Iterator

from ._optional import require

Moved = Callable[[int, "int | None"], None]


@contextlib.contextmanager
def progress(task: str, *, shown: bool | None = None) -> Iterator[Moved]:
    """Show a progress bar, and offer the function that moves it: ``moved(done, total)``.

    Parameters
    ----------
    task
        What is being done.
    shown
        Whether to show it. By default if stderr is a terminal and rich is installed.
    """
    if shown is None:
        shown = sys.stderr.isatty() and importlib.util.find_spec("rich") is not None
    if not shown:
        yield lambda done, total: None
        return
    bars = require("rich.progress", "cli")
    console = require("rich.console", "cli").Console(stderr=True)
    bar = bars.Progress(
        bars.TextColumn("{task.description}", markup=False),
        bars.BarColumn(),
        bars.MofNCompleteColumn(),
        bars.TimeElapsedColumn(),
        bars.TimeRemainingColumn(),
        console=console,
        transient=console.is_terminal,
    )
    with bar:
        moving = bar.add_task(task, total=None)
        yield lambda done, total: bar.update(moving, completed=done, total=total)
