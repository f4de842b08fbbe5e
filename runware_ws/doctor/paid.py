"""Probes that cost money."""

from __future__ import annotations

from time import monotonic
from typing import Literal

import anyio

from ..protocol.wire import Item
from .context import (
    ProbeContext,
    ProbeFunction,
    Reply,
    UnknownError,
    error_text,
    image_of,
    question_about,
)
from .findings import Known, Repeat, Twice
from .picture import flat, noise
from .raw import RawConnection

ProbeDelay = Literal["moment", "second", "minute"]
"""One of the delays in `Times`."""

_BOTH = ("getResponse", "getTaskDetails")
_POLL = 0.2
_LONG = 2.0  # times the duration of a tiny task


async def sync_task(context: ProbeContext) -> str:
    """Run a tiny task."""
    task = context.tiny()
    async with context.connected() as (connection, _):
        context.allowance.charge()
        sent = await connection.send(task)
        reply = await context.reply(connection, task, context.times.result)
    item = _result(context, reply)
    context.sync = task, item, sent
    kind = str(item.get("taskType"))
    context.record(task_type=kind)
    context.record_duration(reply.at - sent)
    return f"done in {reply.at - sent:.2f} s, taskType {kind}"


def _result(context: ProbeContext, reply: Reply) -> Item:
    """Return the result of a task that was charged.

    Raises:
        UnknownError: the reply is not a result; a service may refuse so small an image.
    """
    if reply.error is not None:
        context.allowance.refund()
        raise UnknownError(f"refused: {error_text(reply.error)}")
    if reply.item is None or not reply.is_result:
        raise UnknownError("answered without a result")
    context.allowance.correct(reply.item)
    return reply.item


def _sync(context: ProbeContext) -> tuple[Item, Item, float]:
    if context.sync is None:
        raise UnknownError("not tried: no task was run before")
    return context.sync


async def found_afterwards(context: ProbeContext) -> str:
    """Ask for a task whose result was delivered, with getResponse and getTaskDetails."""
    task, _, sent = _sync(context)
    deadline = monotonic() + context.times.search
    first = answers = await _ask_both(context, task)
    lateness = 0.0
    while _is_any_missing(answers) and monotonic() < deadline:
        await anyio.sleep(_POLL)
        before, answers = answers, await _ask_both(context, task)
        if answers != before:
            lateness = monotonic() - sent
    context.record(found_response=answers[0], found_details=answers[1], lateness=lateness)
    late = "" if answers == first else f", {lateness:.1f} s after it was sent"
    return _shown(answers) + late


def _is_any_missing(answers: list[Known]) -> bool:
    return any(one in ("empty", "not found") for one in answers)


def _shown(answers: list[Known]) -> str:
    return ", ".join(f"{way}: {known}" for way, known in zip(_BOTH, answers, strict=True))


def repeated(finding: str, delay: ProbeDelay | None = None) -> ProbeFunction:
    """Return a probe that sends a finished task again, after a delay if one is given."""

    async def probe(context: ProbeContext) -> str:
        if delay is not None:
            await anyio.sleep(getattr(context.times, delay))
        answer = await _repeat(context)
        context.record(**{finding: answer})
        return answer

    return probe


async def _repeat(context: ProbeContext) -> Repeat:
    task, first, _ = _sync(context)
    async with context.connected() as (connection, _):
        context.allowance.charge()
        sent = await connection.send(task)
        reply = await context.reply(connection, task, context.times.result)
    if reply.is_conflict:
        context.allowance.refund()
        return "refused"
    if image_of(_result(context, reply)) == image_of(first):
        return "same result"
    context.record_duration(reply.at - sent)
    return "run again"


async def details_after_refusal(context: ProbeContext) -> str:
    """Ask for the details of a task whose repetition was refused."""
    known = context.findings
    if "refused" not in (known.repeat_at_once, known.repeat_after_second):
        raise UnknownError("not tried: no repetition was refused")
    answer = await context.known("getTaskDetails", _sync(context)[0]["taskUUID"])
    context.record(details_after_refusal=answer)
    return answer


async def async_task(context: ProbeContext) -> str:
    """Run a tiny task with delivery ``async``; ask for it at once, then poll until it is done."""
    task = context.tiny(deliveryMethod="async")
    async with context.connected() as (connection, _):
        context.allowance.charge()
        sent = await connection.send(task)
        reply = await context.reply(connection, task)
        if reply.error is not None:
            context.allowance.refund()
            raise UnknownError(f"refused: {error_text(reply.error)}")
    at_once = await _ask_both(context, task)
    answer, late = await _wait_for_result(context, task, sent)
    context.record(async_response=answer)
    if "result" not in at_once:
        context.record(running_async=at_once[0])
    if all(one in ("empty", "not found") for one in at_once):
        context.record(lateness=max(context.findings.lateness or 0.0, late))
    return f"at once, {_shown(at_once)}; when done, getResponse: {answer}"


async def _wait_for_result(context: ProbeContext, task: Item, sent: float) -> tuple[Known, float]:
    """Poll an asynchronous task; return the last answer, and its time in seconds after sending."""
    deadline = monotonic() + max(context.times.search, context.times.replay)
    async with context.connected() as (connection, _):
        while True:
            reply = await context.ask(connection, question_about("getResponse", task["taskUUID"]))
            known = reply.known()
            if known == "result" or monotonic() > deadline:
                return known, monotonic() - sent
            await anyio.sleep(_POLL)


def twice(finding: str, delay: ProbeDelay | None = None) -> ProbeFunction:
    """Return a probe that sends an asynchronous task twice.

    It is sent again at once, or after its acknowledgment and a delay.
    """

    async def probe(context: ProbeContext) -> str:
        answer = await _twice(context, 0.0 if delay is None else getattr(context.times, delay))
        context.record(**{finding: answer})
        return answer

    return probe


async def _twice(context: ProbeContext, delay: float) -> Twice:
    task = context.tiny(deliveryMethod="async")
    async with context.connected() as (connection, _):
        replies: list[Reply] = []
        context.allowance.charge()
        await connection.send(task)
        if delay:
            replies.append(await context.reply(connection, task))
            await anyio.sleep(delay)
        context.allowance.charge()
        await connection.send(task)
        while len(replies) < 2:
            replies.append(await context.reply(connection, task))
    return _twice_answer(context, replies)


def _twice_answer(context: ProbeContext, replies: list[Reply]) -> Twice:
    if any(reply.is_conflict for reply in replies):
        context.allowance.refund()
        return "refused"
    errors = [reply.error for reply in replies if reply.error is not None]
    for _ in errors:
        context.allowance.refund()
    if errors:
        raise UnknownError(f"refused: {error_text(errors[0])}")
    return "accepted"


async def cut_task(context: ProbeContext) -> str:
    """Cut the connection of a synchronous task and resume the session while it is running."""
    task, session, _ = await _cut(context)
    async with context.connected(session) as (connection, _):
        at_once = await _ask_both(context, task)
        if "result" not in at_once:  # otherwise it is not running any more
            context.record(running_response=at_once[0], running_details=at_once[1])
        is_pushed = await _is_answered(context, connection, task)
    if not is_pushed and "result" in at_once:
        raise UnknownError("the task was done before its session was resumed")
    if not is_pushed and "result" not in await _ask_both(context, task):
        raise UnknownError("the task may still be running")
    context.record(pushed=is_pushed)
    text = "pushed" if is_pushed else "not pushed"
    return f"{text} to the resumed session; while running, {_shown(at_once)}"


async def missed_result(context: ProbeContext) -> str:
    """Cut the connection of a synchronous task and resume the session when it is done."""
    task, session, sent = await _cut(context)
    at_once = answers = await _ask_both(context, task)
    if "result" in at_once:
        raise UnknownError("the task was done before its connection was cut")
    while "result" not in answers and monotonic() < sent + context.times.outage:
        await anyio.sleep(_POLL)
        answers = await _ask_both(context, task)
    if "result" not in answers and not _is_surely_done(context, answers, sent):
        raise UnknownError("the task may still be running")
    async with context.connected(session) as (connection, resumed):
        is_early = any(one.get("taskUUID") == task["taskUUID"] for one in resumed.early)
        is_late = not is_early and await _is_answered(context, connection, task)
    replay = "before" if is_early else "after" if is_late else "none"
    context.record(replay=replay)
    return "not replayed" if replay == "none" else f"replayed {replay} the authentication"


def _is_surely_done(context: ProbeContext, answers: list[Known], sent: float) -> bool:
    """Return whether a task was sent so long ago that it must be done, and does not seem to run."""
    shortest = context.findings.shortest_run
    is_running = "processing" in answers or shortest is None
    return not is_running and monotonic() - sent > _LONG * (shortest or 0.0)


async def _cut(context: ProbeContext) -> tuple[Item, str, float]:
    """Send a task and cut its connection; return the task, its session, and the sending time.

    The task is large, so that it is not done before the cut.
    """
    task = context.tiny(inputs={"image": flat(1024)}, upscaleFactor=4)
    async with context.connected() as (connection, authentication):
        context.allowance.charge()
        sent = await connection.send(task)
        connection.cut()
    return task, authentication.session, sent


async def _is_answered(context: ProbeContext, connection: RawConnection, task: Item) -> bool:
    """Return whether the result of a task is pushed."""
    try:
        reply = await context.reply(connection, task, context.times.replay)
    except UnknownError:
        return False
    if not reply.is_result:
        raise UnknownError("the task was answered without a result")
    return True


async def _ask_both(context: ProbeContext, task: Item) -> list[Known]:
    """Ask for a task with both questions, on a connection that did not send it."""
    async with context.connected() as (connection, _):
        questions = [question_about(way, task["taskUUID"]) for way in _BOTH]
        return [(await context.ask(connection, one)).known() for one in questions]


def _price(reply: Reply, least: float) -> float:
    """Return the price that a dry run has reported, but at least `least`."""
    cost = (reply.item or {}).get("cost")
    return max(least, float(cost)) if isinstance(cost, int | float) else least


async def large_result(context: ProbeContext) -> str:
    """Request a result of 4096 x 4096 pixels in base64."""
    task = context.tiny(inputs={"image": noise(1024)}, upscaleFactor=4, outputType="base64Data")
    if context.findings.dry_run:
        async with context.connected(dry=True) as (connection, _):
            context.allowance.price = _price(
                await context.ask(connection, task), context.allowance.price
            )
    async with context.connected() as (connection, _):
        context.allowance.charge()
        sent = await connection.send(task)
        reply = await context.reply(connection, task, context.times.result)
    _result(context, reply)
    context.record(result_bytes=reply.size)
    return f"a frame of {reply.size / 2**20:.1f} MiB after {reply.at - sent:.1f} s"
