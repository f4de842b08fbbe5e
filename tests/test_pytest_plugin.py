"""The pytest plugin, in test suites of its own."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points

import pytest

pytest_plugins = ["pytester"]
PLUGIN = "runware_ws.pytest_plugin"
HEAD = """
import pytest
from runware_ws import RunwareClient, ServerError
from runware_ws.emulator.faults import Drop, Fail
from runware_ws.sync import RunwareClient as BlockingClient
from PIL import Image
"""


def passes(pytester: pytest.Pytester, code: str, **counts: int) -> None:
    pytester.makepyfile(HEAD + code)
    pytester.makeini("[pytest]\naddopts = --strict-markers\nfilterwarnings = error\n")
    run = pytester.runpytest_subprocess("-q", "-p", PLUGIN)
    run.assert_outcomes(**counts)


def test_it_is_an_entry_point_of_pytest() -> None:
    (found,) = entry_points(group="pytest11", name=PLUGIN)
    assert found.value == PLUGIN


@pytest.mark.long
def test_the_emulator_serves_tests_on_each_event_loop_and_blocking_ones(
    pytester: pytest.Pytester,
) -> None:
    code = """
@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
async def test_asynchronous(runware_emulator, anyio_backend):
    async with RunwareClient() as client:
        done = await client.upscale(Image.new("RGB", (8, 6)), upscale_factor=2)
    assert list(runware_emulator.executions) == [done.task_uuid]

def test_blocking(runware_emulator):
    with BlockingClient() as client:
        done = client.upscale(Image.new("RGB", (8, 6)), upscale_factor=2)
    assert list(runware_emulator.executions) == [done.task_uuid]
"""
    passes(pytester, code, passed=3)


@pytest.mark.long
def test_a_marker_gives_faults_and_settings(pytester: pytest.Pytester) -> None:
    code = """
pytestmark = pytest.mark.runware_emulator(cost=0.5)

@pytest.mark.runware_emulator(faults=[Drop(nth=1)])
def test_a_fault_is_survived(runware_emulator):
    with BlockingClient() as client:
        client.upscale(Image.new("RGB", (8, 6)))
        assert client.stats().reconnects == 1
    assert runware_emulator.faults_struck == {"drop": 1}

def test_a_setting_of_the_module(runware_emulator):
    with BlockingClient() as client:
        assert client.upscale(Image.new("RGB", (8, 6)), include_cost=True).cost == 0.5
"""
    passes(pytester, code, passed=2)


@pytest.mark.long
def test_the_environment_is_as_before_afterwards(pytester: pytest.Pytester) -> None:
    code = """
import os

def test_with(runware_emulator):
    assert os.environ["RUNWARE_URL"] == runware_emulator.url

def test_without():
    assert "RUNWARE_URL" not in os.environ
    assert "RUNWARE_API_KEY" not in os.environ
"""
    passes(pytester, code, passed=2)


@pytest.mark.long
def test_a_setting_that_is_unknown_is_an_error(pytester: pytest.Pytester) -> None:
    code = """
@pytest.mark.runware_emulator(colour="green")
def test_it(runware_emulator): ...
"""
    passes(pytester, code, errors=1)


def test_nothing_of_the_emulator_is_imported_until_it_is_used() -> None:
    code = f"import sys, {PLUGIN}; print([name for name in sys.modules if 'emulator' in name])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "[]\n"
