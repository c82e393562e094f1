"""Measuring side by side: interleaved runs in one process, medians, peaks of memory.

Candidates are not measured one after the other: on a shared machine the speed drifts between
them, and only what ran in turn can be divided.
"""

from __future__ import annotations

import multiprocessing
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from ._effort import Effort

Run = Callable[[], object]

_BATCH_SECONDS = 1e-3  # fast candidates are timed in batches of about so long
_MOST_ROUNDS = 200


def interleaved(
    candidates: Mapping[str, Run],
    effort: Effort,
    *,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, float]:
    """Median seconds of each candidate, all run in turn.

    Before it is timed a candidate runs once more, so that it meets caches and threads as it
    leaves them itself: threads of the candidate before may go on spinning for milliseconds.

    Parameters
    ----------
    candidates
        What to run, by name.
    effort
        For how long.
    clock
        Tells the seconds.
    """
    once = {name: _first_time(run, clock) for name, run in candidates.items()}
    batch = {name: max(1, int(_BATCH_SECONDS / max(t, 1e-9))) for name, t in once.items()}
    a_round = sum(t * (1 + batch[name]) for name, t in once.items())
    rounds = max(effort.least, int(effort.seconds * len(once) / max(a_round, 1e-9)))
    times: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(min(rounds, _MOST_ROUNDS)):
        for name, run in candidates.items():
            run()
            times[name].append(_time(run, batch[name], clock))
    return {name: statistics.median(values) for name, values in times.items()}


def _first_time(run: Run, clock: Callable[[], float]) -> float:
    """Of a candidate that has warmed up, and was not disturbed."""
    run()
    return min(_time(run, 1, clock) for _ in range(3))


def in_turn(
    candidates: Mapping[str, Run],
    rounds: int,
    *,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, float]:
    """Median seconds of candidates that take seconds each: in turn, after one run to warm up.

    Parameters
    ----------
    candidates
        What to run, by name.
    rounds
        How often.
    clock
        Tells the seconds.
    """
    for run in candidates.values():
        run()
    times: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(rounds):
        for name, run in candidates.items():
            times[name].append(timed(run, clock=clock))
    return {name: statistics.median(values) for name, values in times.items()}


def timed(run: Run, *, clock: Callable[[], float] = time.perf_counter) -> float:
    """Seconds of one run, cold: of what takes too long to be run twice."""
    return _time(run, 1, clock)


def _time(run: Run, batch: int, clock: Callable[[], float]) -> float:
    start = clock()
    for _ in range(batch):
        run()
    return (clock() - start) / batch


def peak_bytes(setup: Callable[[], Run]) -> int:
    """By how much one run lifts the peak memory of a fresh process above its set-up.

    Parameters
    ----------
    setup
        Makes what the run needs, in that process, and returns the run; can be pickled.
    """
    before, peak = _in_a_fresh_process(setup)
    return peak - before


def total_peak_bytes(setup: Callable[[], Run]) -> int:
    """The peak memory of a fresh process in which it runs once, all included but the set-up's peak.

    Parameters
    ----------
    setup
        As for `peak_bytes`.
    """
    return _in_a_fresh_process(setup)[1]


def _in_a_fresh_process(setup: Callable[[], Run]) -> tuple[int, int]:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_peak, (setup,))


def _peak(setup: Callable[[], Run]) -> tuple[int, int]:
    """Before the run, and after it."""
    run = setup()
    Path("/proc/self/clear_refs").write_text("5")  # the set-up may have peaked higher
    before = _peak_so_far()
    run()
    return before, _peak_so_far()


def _peak_so_far() -> int:
    """Linux's own mark of this process; getrusage's would be inherited from the parent."""
    status = Path("/proc/self/status").read_text()
    return 1024 * int(status.split("VmHWM:")[1].split()[0])
