"""The blocking twin has every name of the asynchronous package, with its signature and words."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any

import pytest

import runware_ws
from runware_ws import sync
from runware_ws.journal.recovery import Recovered

# The names that differ: the methods that only an asynchronous, or only a blocking program calls.
RENAMED = {"aclose": "close"}
PROTOCOLS = {
    "__aenter__": "__enter__",
    "__aexit__": "__exit__",
    "__aiter__": "__iter__",
    "__anext__": "__next__",
}
PAIRS = [
    (runware_ws.RunwareClient, sync.RunwareClient),
    (runware_ws.UpscaleResult, sync.UpscaleResult),
    (runware_ws.UpscaleTask, sync.UpscaleTask),
    (runware_ws.Success, sync.Success),
    (runware_ws.Failure, sync.Failure),
    (runware_ws.Outcomes, sync.Outcomes),
    (runware_ws.Events, sync.Events),
    (Recovered, sync.Recovered),
]


def public_names(cls: type) -> set[str]:
    return {name for name in dir(cls) if not name.startswith("_") or name in PROTOCOLS}


def twin_of(name: str) -> str:
    return (RENAMED | PROTOCOLS).get(name, name)


def _methods() -> Iterator[Any]:
    for asynchronous, blocking in PAIRS:
        for name in sorted(public_names(asynchronous)):
            if name not in PROTOCOLS:
                pair = (getattr(asynchronous, name), getattr(blocking, twin_of(name), None))
                yield pytest.param(*pair, id=f"{asynchronous.__name__}.{name}")


METHODS = list(_methods())


@pytest.mark.parametrize(("asynchronous", "blocking"), PAIRS)
def test_every_public_name_has_a_twin(asynchronous: type, blocking: type) -> None:
    wanted = {twin_of(name) for name in public_names(asynchronous)}
    assert wanted <= set(dir(blocking))
    own = {name for name in vars(blocking) if not name.startswith("_")}
    assert own <= wanted


def test_both_clients_are_made_and_described_alike() -> None:
    assert inspect.signature(sync.RunwareClient) == inspect.signature(runware_ws.RunwareClient)
    arguments = (runware_ws.RunwareClient.__doc__ or "").partition("Args:")[2]
    assert arguments
    assert (sync.RunwareClient.__doc__ or "").endswith(arguments)


@pytest.mark.parametrize("blocking", [blocking for _, blocking in PAIRS])
def test_no_description_speaks_of_awaiting(blocking: type) -> None:
    assert blocking.__doc__
    assert not re.search(r"await|async (?:for|with)|asyncio", blocking.__doc__)


@pytest.mark.parametrize(("asynchronous", "blocking"), METHODS)
def test_both_have_the_same_signature_and_words(asynchronous: Any, blocking: Any) -> None:
    if callable(asynchronous):
        assert inspect.signature(blocking) == inspect.signature(asynchronous)
    words = blocking.__doc__ or ""
    assert words == sync.blocking_docstring(asynchronous)
    assert "await" not in words


@pytest.mark.parametrize(("asynchronous", "blocking"), METHODS)
def test_nothing_is_left_to_be_awaited(asynchronous: Any, blocking: Any) -> None:
    code = getattr(blocking, "__code__", None)
    assert code is None or not code.co_flags & inspect.CO_COROUTINE
    if inspect.iscoroutinefunction(asynchronous):
        assert blocking is not asynchronous
