"""How many processors there are to work on."""

from __future__ import annotations

import os


def cpus() -> int:
    """Of the CPUs, those that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)  # not on macOS
    return len(affinity(0)) if affinity else os.cpu_count() or 1
