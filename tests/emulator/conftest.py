"""Give the tests of a file an emulator that they share, unless they need a special one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from runware_ws.emulator import Emulator
from tests.emulator.sockets import Client


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    with Emulator() as running:
        yield running


@pytest.fixture
def client(emulator: Emulator) -> Iterator[Client]:
    with Client(emulator) as connected:
        yield connected
