"""The standard streams when nothing can be written to them."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Literal

__all__ = ["complaint", "let_go_of"]


def complaint(error: OSError) -> str:
    """What to say when results cannot be written."""
    return f"error: cannot write to the standard output: {error.strerror}"


def let_go_of(name: Literal["stdout", "stderr"]) -> None:
    """From now on what is written there goes nowhere; what is held back is not tried again."""
    nowhere = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115  # open to the end
    setattr(sys, name, nowhere)
