"""A pytest plugin for tests of programs that use this package; it needs the extra ``emulator``.

The fixture `runware_emulator` is a running `runware_ws.emulator.Emulator`. While a test uses it, it
is set in the environment variables, so that clients without arguments connect to it:

    async def test_it(runware_emulator):
        async with RunwareClient() as client:
            await client.upscale(picture)
        assert len(runware_emulator.executions) == 1

It works with asyncio, trio and blocking code. A marker sets faults and other arguments:

    @pytest.mark.runware_emulator(faults=[Drop(nth=1)], latency=0.2)

The emulator is imported when a test first asks for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .emulator import Emulator

__all__ = ["runware_emulator"]

_MARKER = "runware_emulator"


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker."""
    text = f"{_MARKER}(**arguments): arguments of the Emulator of the fixture {_MARKER}"
    config.addinivalue_line("markers", text)


@pytest.fixture
def runware_emulator(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Emulator]:
    """Return a running emulator, and set `RUNWARE_URL` and `RUNWARE_API_KEY` to it.

    Its arguments come from the closest marker of the same name; see `runware_ws.emulator.Emulator`.
    """
    from .emulator import Emulator

    marker = request.node.get_closest_marker(_MARKER)
    with Emulator(**(marker.kwargs if marker is not None else {})) as emulator:
        monkeypatch.setenv("RUNWARE_URL", emulator.url)
        monkeypatch.setenv("RUNWARE_API_KEY", emulator.api_key)
        yield emulator
