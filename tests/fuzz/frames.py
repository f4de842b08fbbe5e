"""Fuzz frames from a server: the codec keeps its promises, the client's core stands anything."""

from __future__ import annotations

import json
from typing import Any

from runware_ws.errors import ProtocolError
from runware_ws.protocol.effects import Settle
from runware_ws.protocol.wire import ErrorItem, decode, decode_tasks, encode_tasks, unwrap
from tests.fuzz.draw import UUIDS, Draw
from tests.protocol.world import World

__all__ = ["run"]


def run(data: bytes) -> None:
    """One story of frames."""
    draw = Draw(data)
    world = World(seed=draw.number(256))
    uuids = iter(UUIDS)
    world.new_uuid = lambda: next(uuids)
    for _ in UUIDS:
        world.submit(delivery=draw.one_of(["sync", "async"]))
    while not draw.is_over:
        if world.wants_connection:
            world.connect()
        frame = _frame_of(draw)
        _check_codec(frame)
        world.client.main.receive(frame, world.now)
        world.pump()
        world.tick(draw.one_of([0.0, 0.0, 0.3, 6.0, 31.0]))
    assert all(len(outcomes) <= 1 for outcomes in world.settled.values())
    assert not any(isinstance(effect, Settle) for effect in world.client.take_effects())


def _frame_of(draw: Draw) -> bytes:
    """An answer, more often than not in an envelope, and about a task that is known."""
    kind = draw.number(8)
    if kind == 0:
        return draw.frame(draw.value())
    items = [_item_of(draw) for _ in range(1 + draw.number(3))]
    if kind == 1:
        return draw.frame({"errors": items})
    if kind == 2:
        return draw.frame({"data": items, "errors": [_item_of(draw)]})
    if kind == 3:
        return draw.frame({"error": draw.one_of([True, False, items, items[0]]), **items[0]})
    return draw.frame({"data": items if kind < 7 else items[0]})


def _item_of(draw: Draw) -> dict[str, Any]:
    return {"taskUUID": draw.one_of(UUIDS), **draw.members()}


def _check_codec(frame: bytes) -> None:
    try:
        items, faults = decode(frame)
    except ProtocolError:
        pass
    else:
        _check(items, faults)
        _check_unwrap(json.loads(frame))
    try:
        tasks = decode_tasks(frame)
    except ProtocolError:
        return
    assert decode_tasks(encode_tasks(tasks)) == tasks


def _check_unwrap(root: Any) -> None:
    if isinstance(root, dict):
        _check(*unwrap(root))


def _check(items: list[dict[str, Any]], faults: list[ErrorItem]) -> None:
    assert all(isinstance(item, dict) for item in items)
    for fault in faults:
        assert fault.code
        assert isinstance(fault.code, str)
        assert isinstance(fault.message, str)
        assert isinstance(fault.task_uuid, str | None)
        assert isinstance(fault.task_type, str | None)
        assert isinstance(fault.raw, dict)
