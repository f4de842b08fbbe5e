"""Give every test both event loops, a clean environment, and detectors for what is left over.

An asynchronous test carries `pytest.mark.anyio` and runs twice, on asyncio and on trio. Properties
run a small number of examples by default; `--hypothesis-profile=long` (or HYPOTHESIS_PROFILE=long
in the environment) runs ten thousand of each. The few are the same ones each time, so that what
fails is what was changed; the many are drawn anew.
"""

from __future__ import annotations

import gc
import importlib.util
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import anyio
import pytest

# The tests and the commands that they start keep their bytecode: else each process would compile
# all modules anew, which takes longer than most tests.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

from hypothesis import settings  # noqa: E402  # pytest compiles its many modules

settings.register_profile("default", max_examples=50, deadline=None, derandomize=True)
settings.register_profile("long", max_examples=10_000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))

LONG_TIMEOUT = 3600
ASYNCIO_DEBUG = "ASYNCIO_DEBUG" in os.environ  # asyncio's debug mode, at half as much time again


@pytest.fixture(
    params=[
        pytest.param(("asyncio", {"debug": ASYNCIO_DEBUG}), id="asyncio"),
        pytest.param(
            ("trio", {}),
            id="trio",
            marks=pytest.mark.skipif(
                importlib.util.find_spec("trio") is None, reason="the extra `trio` is not installed"
            ),
        ),
    ]
)
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Run files and tests that are named in this process, and all else in several processes.

    Most tests wait, so there may be more processes than cores; but each has to start.
    """
    is_named = any("::" in argument or argument.endswith(".py") for argument in config.args)
    return 0 if is_named else 6


def pytest_collection_finish() -> None:
    """Let the garbage collector pass over what lives as long as the process: thousands of tests."""
    gc.collect()
    gc.freeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give the long profile the time that its number of examples takes."""
    if settings().max_examples > 1000:
        for item in items:
            item.add_marker(pytest.mark.timeout(LONG_TIMEOUT))


@pytest.fixture(autouse=True, scope="session")
def ctrl_c_is_heard() -> None:
    """By the commands that the tests start, also when the tests run in a shell's background."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True, scope="session")
def clean_environment() -> Iterator[None]:
    """Take the developer's own key, service address and proxies out of the tests' reach."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith("RUNWARE_") or name.lower().endswith("_proxy"):
                patch.delenv(name)
        yield


@pytest.fixture(autouse=True)
def no_leaked_threads() -> Iterator[None]:
    """Fail a test after which a thread of its own still runs."""
    before = set(threading.enumerate())
    yield
    leaked = []
    for thread in set(threading.enumerate()) - before:
        if thread.name.startswith("Trio thread"):  # trio keeps idle workers for a while
            continue
        thread.join(timeout=1)
        if thread.is_alive() and not thread.name.startswith("Trio thread"):  # it was busy before
            leaked.append(thread.name)
    assert not leaked, f"threads left running: {leaked}"


def _belongs_to_runner(task: anyio.TaskInfo) -> bool:
    """Tell whether it is the task in which anyio's pytest plugin waits for one step on asyncio."""
    return getattr(task.coro, "__name__", "") == "_call_in_runner_task"


@pytest.fixture
async def task_watch(anyio_backend: Any) -> AsyncIterator[None]:
    """Fail a test after which a task of its own still runs. Use: see `no_leaked_tasks`."""
    before = {task.id for task in anyio.get_running_tasks()}
    yield
    await anyio.wait_all_tasks_blocked()
    after = [task for task in anyio.get_running_tasks() if task.id not in before]
    leaked = [task.name for task in after if not _belongs_to_runner(task)]
    assert not leaked, f"tasks left running: {leaked}"


@pytest.fixture(autouse=True)
def no_leaked_tasks(request: pytest.FixtureRequest) -> None:
    """Put `task_watch` around each asynchronous test, outside of its own fixtures."""
    if "anyio_backend" in request.fixturenames:
        request.getfixturevalue("task_watch")
