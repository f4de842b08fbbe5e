"""The command ``runware-ws``; needs the extra ``cli``."""

from __future__ import annotations

import errno
import io
import sys

from ..errors import MissingExtraError
from .output import discard, stdout_error

__all__ = ["main"]


def main() -> None:
    """Run the command, and exit with its status."""
    try:
        import rich  # noqa: F401  # otherwise imported only when there is something to show

        from .app import app
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("runware_ws"):
            raise
        sys.exit(str(MissingExtraError("runware-ws", "cli")))
    if isinstance(sys.stdout, io.TextIOWrapper):  # a file name may not fit its encoding
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        app(prog_name="runware-ws")
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        discard("stdout")
        sys.exit(stdout_error(error))
