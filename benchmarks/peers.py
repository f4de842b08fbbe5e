"""The peers' environments: made once, outside of git's sight."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterable

from .clients import CLIENTS
from .runs import ROOT

__all__ = ["find_pythons", "version_of"]

_CACHE = ROOT / ".cache" / "benchmarks"


def find_pythons(clients: Iterable[str], tell: Callable[[str], None]) -> dict[str, str]:
    """The interpreter for each client; a peer that cannot be installed is left out."""
    pythons = {}
    for client in clients:
        peer = CLIENTS[client].peer
        python = _python_of(peer, tell) if peer else sys.executable
        if python is not None:
            pythons[client] = python
    return pythons


def version_of(peer: str, python: str) -> str:
    """Which version of a peer is in its environment."""
    program = f"from importlib.metadata import version; print(version({peer!r}))"
    return _run(python, "-c", program).strip()


def _python_of(peer: str, tell: Callable[[str], None]) -> str | None:
    folder = _CACHE / peer
    python, complete = folder / "bin" / "python", folder / "complete"
    if complete.exists():
        return str(python)
    tell(f"installing {peer} in {folder}")
    try:
        _run(sys.executable, "-m", "venv", "--clear", str(folder))
        _run(str(python), "-m", "pip", "install", "-q", peer)
    except subprocess.CalledProcessError as error:
        last = (error.stderr or "").strip().splitlines()[-1:]
        tell(f"{peer} is left out, it cannot be installed (no network?): {' '.join(last)}")
        return None
    complete.touch()
    return str(python)


def _run(*command: str) -> str:
    ended = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603  # as above
    return ended.stdout
