"""Run for a moment what `python -m tests.fuzz` runs for hours, so that it stays alive."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz import frames, service

pytestmark = pytest.mark.fuzz

DATA = st.binary(max_size=400)


@given(DATA)
def test_the_codec_and_the_client_stand_any_frame(data: bytes) -> None:
    frames.run(data)


@given(DATA)
def test_the_emulator_stands_any_request(data: bytes) -> None:
    service.run(data)
