"""Give the tests the official clients' processes, emulators for them, and a line to cut."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from runware_ws.emulator import Emulator, Relay, Rules
from tests.emulator.bench import picture
from tests.official.environments import MissingError, command_for
from tests.official.peer import Failure, Peer

CLIENTS = ["runware-sdk", "runware", "@runware/sdk-js"]
# Milliseconds after which `runware` sees that it has missed an answer.
IMPATIENCE = {
    "RUNWARE_IMAGE_UPLOAD_TIMEOUT": "500",
    "RUNWARE_VIDEO_INITIAL_TIMEOUT": "500",
    "RUNWARE_IMAGE_POLLING_DELAY": "100",
}


@pytest.fixture(scope="session", params=CLIENTS)
def process(request: pytest.FixtureRequest) -> Iterator[tuple[str, Peer]]:
    """Each client in turn; skipped where it cannot be installed."""
    try:
        command = command_for(request.param)
    except MissingError as error:
        pytest.skip(f"{request.param}: {error}")
    with Peer(command, **IMPATIENCE) as running:
        yield request.param, running


@pytest.fixture
def name(process: tuple[str, Peer]) -> str:
    """Return which client it is."""
    return process[0]


@pytest.fixture
def peer(process: tuple[str, Peer]) -> Iterator[Peer]:
    """The client, not connected; what a test opens is closed after it.

    `runware` may fail to close while it reconnects ("await wasn't used with future"). No test is
    about that, but what is left of the client must not meet the next one, so it gets a new process.
    """
    yield process[1]
    try:
        process[1].call("close")
    except Failure:
        process[1].restart()


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    """One that answers uploads as the clients in Python need it."""
    with Emulator(rules=Rules(upload_data="array")) as running:
        yield running


@pytest.fixture(scope="module")
def documented() -> Iterator[Emulator]:
    """One that answers uploads as documented."""
    with Emulator() as running:
        yield running


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A file."""
    path = tmp_path / "photo.png"
    path.write_bytes(picture())
    return path


@pytest.fixture
def relay(emulator: Emulator) -> Iterator[Relay]:
    """A line to the emulator that can be cut."""
    with Relay(emulator.url) as running:
        yield running
