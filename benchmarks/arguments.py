"""What may stand on the command line, checked before half an hour goes by."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TypeVar

from .clients import CLIENTS

__all__ = ["checked", "clients", "file", "require", "rounds"]

_Parsed = TypeVar("_Parsed")


def checked(parse: Callable[[str], _Parsed]) -> Callable[[str], _Parsed]:
    """`parse`, with its complaint shown to the user."""

    def parse_checked(text: str) -> _Parsed:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return parse_checked


@checked
def clients(text: str) -> list[str]:
    """The names of clients."""
    names = text.split(",")
    if unknown := [name for name in names if name not in CLIENTS]:
        raise ValueError(f"no such client: {', '.join(unknown)}")
    return names


@checked
def rounds(text: str) -> int:
    """A number of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise ValueError("pass a number of at least 1")
    return int(text)


@checked
def file(text: str) -> Path:
    """A file that can be written."""
    path = Path(text)
    if not path.parent.is_dir():
        raise ValueError(f"there is no folder {path.parent}")
    return path


def require(parser: argparse.ArgumentParser, *packages: str) -> None:
    """End with an error unless these packages are installed."""
    if missing := [package for package in packages if find_spec(package) is None]:
        parser.error(f"{', '.join(missing)} missing: install benchmarks/requirements.txt")
