"""What is installed and which path the rows take."""

from __future__ import annotations

import os
import platform
from importlib import metadata

from . import rows
from .rows._linear_blocks import MAX_BYTES, Shape, blocks_of

__version__ = metadata.version("crossentropy")

_PACKAGES = ("numpy", "array-api-compat", "torch", "scikit-learn", "scipy")


def show_config() -> None:
    """Print versions, and which implementation the row passes take and why.

    The environment variable ``CROSSENTROPY_ROWS`` forces one, at import: ``reference`` for
    array code, ``native`` for the best level of the native kernels (an error where there is
    none), or a level by name (``v4``, ``v3``, ``v2`` on x86-64, ``generic`` elsewhere).

    Examples
    --------
    >>> show_config()  # doctest: +ELLIPSIS
    crossentropy ...
    """
    path, why = rows.path(), rows.native_error()
    print(f"crossentropy      {__version__}")
    print(f"python            {platform.python_version()} on {platform.machine()}")
    for package in _PACKAGES:
        print(f"{package:<17} {_version(package)}")
    print(f"native kernels    {'in use, level ' + path if why is None else 'not in use: ' + why}")
    print(f"paths here        {', '.join(rows.available_paths())}")
    print(f"CROSSENTROPY_ROWS {os.environ.get('CROSSENTROPY_ROWS', 'not set')}")
    print(f"fused layer       {_linear_blocks()}")
    print(
        f"threads           torch's number in crossentropy.torch, all of {os.cpu_count()} in "
        "crossentropy.scores, else 1"
    )


def _linear_blocks() -> str:
    """How the fused linear layer would share out a large layer's logits by default."""
    shape = Shape(samples=4096, features=1024, classes=128256, positions=1)
    wide, short = (blocks_of(shape, 4, is_short, MAX_BYTES) for is_short in (False, True))
    return (
        f"blocks of {MAX_BYTES >> 20} MB (LinearOptions.max_bytes): {wide}, in 16 bits {short}, "
        f"of {shape.samples} × {shape.classes} with {shape.features} features"
    )


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"
