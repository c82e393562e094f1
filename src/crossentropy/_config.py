"""What is installed and which path the rows take."""

from __future__ import annotations

import os
import platform
from importlib import metadata

from . import rows

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
        f"threads           torch's number in crossentropy.torch ({os.cpu_count()} cores), else 1"
    )


def _linear_blocks() -> str:
    """How the fused linear layer would share out a large layer's logits by default."""
    try:
        from .torch._linear_blocks import Shape, blocks_of
        from .torch._linear_options import MAX_BYTES
    except ImportError:
        return "needs torch"
    shape = Shape(samples=4096, features=1024, classes=128256, positions=1)
    sizes = {"float32": blocks_of(shape, 4, False, MAX_BYTES)}
    sizes["16 bits"] = blocks_of(shape, 4, True, MAX_BYTES)
    chosen = ", ".join(f"{blocks} in {name}" for name, blocks in sizes.items())
    return (
        f"blocks of at most {MAX_BYTES >> 20} MB (LinearOptions.max_bytes): of {shape.samples} "
        f"samples, {shape.features} features and {shape.classes} classes {chosen}"
    )


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"
