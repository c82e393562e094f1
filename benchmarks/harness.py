"""Measuring side by side: interleaved runs in one process, medians, ratios.

Not pytest-benchmark, which runs each candidate on its own: on a shared machine the
speed drifts between them, and only what ran in turn can be divided.
"""

from __future__ import annotations

import multiprocessing
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path


def interleaved(
    candidates: Mapping[str, Callable[[], object]], *, seconds: float = 0.6, least: int = 7
) -> dict[str, float]:
    """Median seconds of each candidate, all run in turn for about `seconds` each."""
    once = {name: _time(run, 1) for name, run in candidates.items()}  # warms up, too
    once = {name: _time(run, 1) for name, run in candidates.items()}
    # fast candidates are timed in batches of about a millisecond
    batch = {name: max(1, int(1e-3 / max(t, 1e-9))) for name, t in once.items()}
    rounds = max(least, int(seconds * len(once) / sum(t * batch[n] for n, t in once.items())))
    times: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(min(rounds, 200)):
        for name, run in candidates.items():
            times[name].append(_time(run, batch[name]))
    return {name: statistics.median(values) for name, values in times.items()}


def _time(run: Callable[[], object], batch: int) -> float:
    start = time.perf_counter()
    for _ in range(batch):
        run()
    return (time.perf_counter() - start) / batch


def peak_bytes(setup: Callable[[], Callable[[], object]]) -> int:
    """By how much one run lifts the peak memory of a fresh process above its set-up."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        return pool.apply(_peak, (setup,))


def _peak(setup: Callable[[], Callable[[], object]]) -> int:
    run = setup()
    before = _peak_so_far()
    run()
    return _peak_so_far() - before


def _peak_so_far() -> int:
    """Linux's own mark of this process; getrusage's would be inherited from the parent."""
    status = Path("/proc/self/status").read_text()
    return 1024 * int(status.split("VmHWM:")[1].split()[0])


def markdown(header: list[str], rows: list[list[str]]) -> str:
    """A table as Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
