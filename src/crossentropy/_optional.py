"""Optional packages, imported where they are needed and missed with one message."""

from __future__ import annotations

import importlib
from types import ModuleType


def require(module: str, extra: str) -> ModuleType:
    """Import an optional module, or say which extra installs it.

    Parameters
    ----------
    module
        The module's name, dotted where it is a submodule.
    extra
        The extra of this distribution that installs it.

    Raises
    ------
    ImportError
        If the package is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        package = module.split(".")[0]
        if error.name is None or error.name.split(".")[0] != package:
            raise  # the package is there, something that it needs is not
        raise ImportError(
            f"this needs {package}, which is not installed; run: "
            f"pip install 'crossentropy[{extra}]'"
        ) from error
