"""Where a measurement was made: what its figures depend on."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from pathlib import Path

from crossentropy import rows

_PACKAGES = ("crossentropy", "numpy", "torch", "jax", "optax")


def machine() -> dict[str, str]:
    """Processor, threads, versions and the path of the rows."""
    import torch

    return {
        "processor": f"{_processor()}, {os.cpu_count()} cores",
        "load before": _load(),  # what else runs here disturbs the figures
        "threads": str(torch.get_num_threads()),
        "rows": f"{rows.path()} of {', '.join(rows.available_paths())}",
        "python": platform.python_version(),
        **{package: _version(package) for package in _PACKAGES},
    }


def _processor() -> str:
    """The model's name, which Linux keeps in a file of its own."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


def _load() -> str:
    return f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"
