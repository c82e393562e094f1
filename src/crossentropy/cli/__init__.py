"""The command line: `crossentropy COMMAND`, one module for each command."""

from __future__ import annotations

import sys

from crossentropy._optional import require


def main() -> None:
    """Run the command line and exit."""
    try:
        require("click", "cli")
    except ImportError as error:
        sys.exit(f"error: {error}")
    from crossentropy.cli._app import run

    sys.exit(run(sys.argv[1:]))
