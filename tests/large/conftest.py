"""Run each test of a picture with pyvips and without it."""

from __future__ import annotations

import importlib.util

import pytest

from runware_ws.large import reading, writing


@pytest.fixture(
    params=[
        "pillow",
        pytest.param(
            "pyvips",
            marks=pytest.mark.skipif(
                importlib.util.find_spec("pyvips") is None,
                reason="the extra `large` is not installed",
            ),
        ),
    ]
)
def library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The library that reads and writes pictures."""
    name: str = request.param
    for module in (reading, writing):
        monkeypatch.setattr(module, "has_pyvips", lambda: name == "pyvips")
    return name
