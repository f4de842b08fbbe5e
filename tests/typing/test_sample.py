"""Check the sample with the type checkers of users, each in its strictest mode."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SAMPLE = Path(__file__).with_name("sample.py")
CHECKERS = {
    "mypy": ["mypy", "--strict", "--warn-unused-ignores"],
    "pyright": ["pyright", "--pythonpath", sys.executable],
}


@pytest.mark.long
@pytest.mark.timeout(300)  # pyright is downloaded when it runs for the first time
@pytest.mark.parametrize("command", CHECKERS.values(), ids=CHECKERS)
def test_code_of_users_passes_a_strict_type_checker(command: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", *command, SAMPLE], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
