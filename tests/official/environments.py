"""Install official clients, each in an environment of its own, once, under ``.cache``.

With ``OFFICIAL_CLIENTS=newest`` in the environment their newest versions are taken instead of
those that the tests were written for.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

__all__ = ["ROOT", "MissingError", "command_for"]

ROOT = Path(__file__).resolve().parent.parent.parent
_NEWEST = os.environ.get("OFFICIAL_CLIENTS") == "newest"
_CACHE = ROOT / ".cache" / "official" / ("newest" if _NEWEST else "known")
_VERSIONS = {"runware-sdk": "1.8.0", "runware": "0.5.24", "@runware/sdk-js": "1.3.2"}
_INSTALL_TIMEOUT = 300


class MissingError(Exception):
    """A client cannot be had here; the text says why."""


def command_for(client: str) -> list[str]:
    """The command that runs the peer of this client.

    Raises:
        MissingError: it cannot be installed.
    """
    if client == "@runware/sdk-js":
        return _node_command(client)
    folder = _CACHE / client
    python = folder / "bin" / "python"
    _once(
        folder,
        [sys.executable, "-m", "venv", "--clear", str(folder)],
        [str(python), "-m", "pip", "install", "-q", "--retries", "1", _wanted(client, "==")],
    )
    return [str(python), "-m", f"tests.official.peers.{client.replace('-', '_')}"]


def _node_command(client: str) -> list[str]:
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        raise MissingError("there is no Node here")
    folder = _CACHE / "sdk-js"
    folder.mkdir(parents=True, exist_ok=True)
    # What it depends on optionally is native code; it works without.
    flags = ["--no-audit", "--no-fund", "--ignore-scripts", "--omit=optional", "--fetch-retries=1"]
    _once(folder, [npm, "install", "--prefix", str(folder), *flags, _wanted(client, "@")])
    return [node, str(ROOT / "tests/official/peers/sdk_js.mjs"), str(folder)]


def _wanted(client: str, separator: str) -> str:
    return client if _NEWEST else client + separator + _VERSIONS[client]


def _once(folder: Path, *commands: list[str]) -> None:
    """Run the commands that fill the folder, unless they were run to their end before."""
    import fcntl  # not everywhere, and the folders of an environment are others there too

    folder.parent.mkdir(parents=True, exist_ok=True)
    complete = folder / "complete"
    with folder.with_suffix(".lock").open("w") as lock:  # other processes may run tests too
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not complete.exists():
            _run(commands)
            complete.touch()


def _run(commands: Iterable[list[str]]) -> None:
    for command in commands:
        try:
            subprocess.run(
                command, check=True, capture_output=True, text=True, timeout=_INSTALL_TIMEOUT
            )
        except subprocess.CalledProcessError as error:
            lines = (error.stderr or error.stdout).splitlines()
            why = next((line for line in lines if "error" in line.lower()), "it does not say why")
            raise MissingError(f"not installed (no network?): {why}") from None
        except (OSError, subprocess.TimeoutExpired) as error:
            raise MissingError(f"not installed: {error}") from None
