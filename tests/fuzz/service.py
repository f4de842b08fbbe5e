"""Fuzz requests to the emulator: it answers as documented, and runs nothing twice."""

from __future__ import annotations

from typing import Any

from runware_ws.emulator.service.jobs import Failed, JobOutcome, Succeeded
from runware_ws.protocol.request import MODEL
from runware_ws.protocol.wire import decode, encode_answer
from tests.emulator.bench import KEY, LINK, Bench, Peer
from tests.fuzz.draw import UUIDS, Draw

__all__ = ["run"]

_STATUSES = {200, 400, 401, 402, 403, 429, 500, 503, 504}
_OUTCOMES: list[JobOutcome] = [
    Succeeded(),
    Succeeded("QUJD"),
    Failed("inferenceError", ""),
    Failed("timeout", ""),
]


def run(data: bytes) -> None:
    """One story of requests."""
    draw = Draw(data)
    bench = _bench(draw)
    peers = [bench.peer()]
    calls = []
    while not draw.is_over:
        kind = draw.number(8)
        if kind < 3:
            draw.one_of(peers).send_raw(_frame_of(draw))
        elif kind < 5:
            calls.append(bench.post_raw(_frame_of(draw), draw.one_of([KEY, KEY, "wrong", None])))
        elif kind == 5 and bench.jobs:
            job = bench.jobs.pop(draw.number(min(len(bench.jobs), 256)))
            bench.service.finished(job, draw.one_of(_OUTCOMES), bench.now)
            bench.perform()
        elif kind == 6:
            peers.append(_another(draw, bench, peers))
        else:
            bench.pass_time(draw.one_of([0.1, 5.0, 60.0, 119.0, 4000.0]))
    bench.finish()
    _check(bench, peers)
    assert set(bench.responses) == set(calls)


def _bench(draw: Draw) -> Bench:
    """A service, in one of the ways in which the service may be."""
    return Bench(
        unknown_session=draw.one_of(["new", "error"]),
        replay=draw.one_of(["before", "after"]),
        sync_wait_ends=draw.one_of(["error", "silence"]),
        unknown_task=draw.one_of(["error", "empty"]),
        errors_name_task=draw.one_of([True, False]),
        upload_data=draw.one_of(["object", "array"]),
        credit=draw.one_of([None, 0.002]),
        max_running=draw.one_of([None, 3]),
        max_tasks=draw.one_of([200_000, 200_000, 200_000, 2]),
        max_result_bytes=draw.one_of([10**6, 5]),
    )


def _another(draw: Draw, bench: Bench, peers: list[Peer]) -> Peer:
    """A connection is made, perhaps in place of one that drops, perhaps for its session."""
    old = draw.one_of(peers)
    if draw.number(2):
        old.drop()
    session = old.session if old.connection.session is not None and draw.number(2) else None
    return bench.peer(session, authenticated=bool(draw.number(4)))


def _frame_of(draw: Draw) -> bytes:
    if draw.number(8) == 0:
        return draw.frame(draw.value())
    return draw.frame([_task_of(draw) for _ in range(draw.number(4))])


def _task_of(draw: Draw) -> dict[str, Any]:
    """A task that is right, or nearly."""
    uuid = {"taskUUID": draw.one_of(UUIDS)}
    kind = draw.one_of(["upscale", "upscale", "imageUpload", "getResponse", "authentication", "x"])
    task: dict[str, Any] = {"taskType": kind}
    if kind == "upscale":
        task |= uuid | {"model": MODEL, "inputs": {"image": LINK}}
    elif kind == "imageUpload":
        task |= uuid | {"image": LINK}
    elif kind == "authentication":
        task |= {"apiKey": draw.one_of([KEY, "wrong"])}
    else:
        task = uuid | {"taskType": draw.one_of(["getResponse", "getTaskDetails", "ping"])}
    return {**task, **draw.members()} if draw.number(3) == 0 else task


def _check(bench: Bench, peers: list[Peer]) -> None:
    for peer in peers:
        for frame in peer.frames:
            decode(encode_answer(frame.get("data"), frame.get("errors")))
            assert set(frame) <= {"data", "errors"} or "taskType" in frame
    for status, body in bench.responses.values():
        assert status in _STATUSES
        assert set(body) == ({"errors"} if status != 200 else set(body) & {"data", "errors"})
        assert (status == 200) == ("data" in body)
    if not _may_forget(bench):
        assert all(count == 1 for count in bench.service.history.executions.values())


def _may_forget(bench: Bench) -> bool:
    """Return whether a task's UUID may have become unknown, and so be taken for a new one."""
    return bench.settings.max_tasks < len(UUIDS) or bench.now > bench.settings.task_memory
