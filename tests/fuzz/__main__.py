"""Fuzz one target under libFuzzer, guided by coverage; `.ci/fuzz` installs what it takes.

python -m tests.fuzz frames|service [libFuzzer's options and corpus folders]
"""

from __future__ import annotations

import sys
from importlib import import_module


def main() -> None:
    atheris = import_module("atheris")
    target = sys.argv.pop(1)
    with atheris.instrument_imports(include=["runware_ws"]):
        run = import_module(f"tests.fuzz.{target}").run
    atheris.Setup(sys.argv, run)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
