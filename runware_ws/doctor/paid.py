"""The probes that cost money."""

from __future__ import annotations

from time import monotonic

import anyio

from ..protocol.wire import Item
from .findings import Known, Repeat, Twice
from .lab import Lab, Reply, UnknownError, image_of, question_about, words
from .picture import flat, noise
from .raw import RawConnection

_BOTH = ("getResponse", "getTaskDetails")
_POLL = 0.2
_LONG = 2.0  # times the duration of a tiny task


async def sync_task(lab: Lab) -> str:
    """Run a tiny task."""
    task = lab.tiny()
    async with lab.connected() as (line, _):
        lab.purse.charge()
        sent = await line.send(task)
        reply = await lab.reply(line, task, lab.times.result)
    item = _result(lab, reply)
    lab.sync = task, item, sent
    kind = str(item.get("taskType"))
    lab.learn(task_type=kind)
    lab.took(reply.at - sent)
    return f"done in {reply.at - sent:.2f} s, taskType {kind}"


def _result(lab: Lab, reply: Reply) -> Item:
    """Return the result of a task that was charged.

    Raises:
        UnknownError: it is none; a service may have no use for so small an image.
    """
    if reply.error is not None:
        lab.purse.refund()
        raise UnknownError(f"refused: {words(reply.error)}")
    if reply.item is None or not reply.is_result:
        raise UnknownError("answered without a result")
    lab.purse.learn(reply.item)
    return reply.item


def _sync(lab: Lab) -> tuple[Item, Item, float]:
    if lab.sync is None:
        raise UnknownError("not tried: there is no task that was run")
    return lab.sync


async def found_afterwards(lab: Lab) -> str:
    """Ask for a task whose result was delivered, both ways."""
    task, _, sent = _sync(lab)
    deadline = monotonic() + lab.times.search
    first = answers = await _ask_both(lab, task)
    lateness = 0.0
    while _is_any_missing(answers) and monotonic() < deadline:
        await anyio.sleep(_POLL)
        before, answers = answers, await _ask_both(lab, task)
        if answers != before:
            lateness = monotonic() - sent
    lab.learn(found_response=answers[0], found_details=answers[1], lateness=lateness)
    late = "" if answers == first else f", {lateness:.1f} s after it was sent"
    return _shown(answers) + late


def _is_any_missing(answers: list[Known]) -> bool:
    return any(one in ("empty", "not found") for one in answers)


def _shown(answers: list[Known]) -> str:
    return ", ".join(f"{way}: {known}" for way, known in zip(_BOTH, answers, strict=True))


async def repeat_at_once(lab: Lab) -> str:
    """Send a finished task again."""
    answer = await _repeat(lab)
    lab.learn(repeat_at_once=answer)
    return answer


async def repeat_after_second(lab: Lab) -> str:
    """Send a finished task again after a second."""
    await anyio.sleep(lab.times.second)
    answer = await _repeat(lab)
    lab.learn(repeat_after_second=answer)
    return answer


async def repeat_after_minute(lab: Lab) -> str:
    """Send a finished task again after a minute."""
    await anyio.sleep(lab.times.minute)
    answer = await _repeat(lab)
    lab.learn(repeat_after_minute=answer)
    return answer


async def _repeat(lab: Lab) -> Repeat:
    task, first, _ = _sync(lab)
    async with lab.connected() as (line, _):
        lab.purse.charge()
        sent = await line.send(task)
        reply = await lab.reply(line, task, lab.times.result)
    if reply.is_conflict:
        lab.purse.refund()
        return "refused"
    if image_of(_result(lab, reply)) == image_of(first):
        return "same result"
    lab.took(reply.at - sent)
    return "run again"


async def details_after_refusal(lab: Lab) -> str:
    """Ask for the details of a task that was refused the second time."""
    known = lab.findings
    if "refused" not in (known.repeat_at_once, known.repeat_after_second):
        raise UnknownError("not tried: nothing was refused")
    answer = await lab.known("getTaskDetails", _sync(lab)[0]["taskUUID"])
    lab.learn(details_after_refusal=answer)
    return answer


async def async_task(lab: Lab) -> str:
    """Run a tiny task with delivery ``async``, and ask for it at once and until it is done."""
    task = lab.tiny(deliveryMethod="async")
    async with lab.connected() as (line, _):
        lab.purse.charge()
        sent = await line.send(task)
        reply = await lab.reply(line, task)
        if reply.error is not None:
            lab.purse.refund()
            raise UnknownError(f"refused: {words(reply.error)}")
    at_once = await _ask_both(lab, task)
    answer, late = await _wait_for_result(lab, task, sent)
    lab.learn(async_response=answer)
    if "result" not in at_once:
        lab.learn(running_async=at_once[0])
    if all(one in ("empty", "not found") for one in at_once):
        lab.learn(lateness=max(lab.findings.lateness or 0.0, late))
    return f"at once, {_shown(at_once)}; when done, getResponse: {answer}"


async def _wait_for_result(lab: Lab, task: Item, sent: float) -> tuple[Known, float]:
    """Poll an asynchronous task; return the last answer, and when it came after the sending."""
    deadline = monotonic() + max(lab.times.search, lab.times.replay)
    async with lab.connected() as (line, _):
        while True:
            reply = await lab.ask(line, question_about("getResponse", task["taskUUID"]))
            known = reply.known()
            if known == "result" or monotonic() > deadline:
                return known, monotonic() - sent
            await anyio.sleep(_POLL)


async def twice_at_once(lab: Lab) -> str:
    """Send an asynchronous task twice."""
    answer = await _twice(lab, 0.0)
    lab.learn(twice_at_once=answer)
    return answer


async def twice_after_50_ms(lab: Lab) -> str:
    """Send an asynchronous task again 50 ms after its acknowledgment."""
    answer = await _twice(lab, lab.times.moment)
    lab.learn(twice_after_50_ms=answer)
    return answer


async def twice_after_second(lab: Lab) -> str:
    """Send an asynchronous task again a second after its acknowledgment."""
    answer = await _twice(lab, lab.times.second)
    lab.learn(twice_after_second=answer)
    return answer


async def _twice(lab: Lab, delay: float) -> Twice:
    task = lab.tiny(deliveryMethod="async")
    async with lab.connected() as (line, _):
        replies: list[Reply] = []
        lab.purse.charge()
        await line.send(task)
        if delay:
            replies.append(await lab.reply(line, task))
            await anyio.sleep(delay)
        lab.purse.charge()
        await line.send(task)
        while len(replies) < 2:
            replies.append(await lab.reply(line, task))
    return _twice_answer(lab, replies)


def _twice_answer(lab: Lab, replies: list[Reply]) -> Twice:
    if any(reply.is_conflict for reply in replies):
        lab.purse.refund()
        return "refused"
    errors = [reply.error for reply in replies if reply.error is not None]
    for _ in errors:
        lab.purse.refund()
    if errors:
        raise UnknownError(f"refused: {words(errors[0])}")
    return "accepted"


async def cut_task(lab: Lab) -> str:
    """Cut the connection of a synchronous task and resume the session while it is running."""
    task, session, _ = await _cut(lab)
    async with lab.connected(session) as (line, _):
        at_once = await _ask_both(lab, task)
        if "result" not in at_once:  # or it is not running any more
            lab.learn(running_response=at_once[0], running_details=at_once[1])
        is_pushed = await _is_answered(lab, line, task)
    if not is_pushed and "result" in at_once:
        raise UnknownError("the task was done before its session was resumed")
    if not is_pushed and "result" not in await _ask_both(lab, task):
        raise UnknownError("the task may still be running")
    lab.learn(pushed=is_pushed)
    text = "pushed" if is_pushed else "not pushed"
    return f"{text} to the resumed session; while running, {_shown(at_once)}"


async def missed_result(lab: Lab) -> str:
    """Cut the connection of a synchronous task and resume the session when it is done."""
    task, session, sent = await _cut(lab)
    at_once = answers = await _ask_both(lab, task)
    if "result" in at_once:
        raise UnknownError("the task was done before its connection was cut")
    while "result" not in answers and monotonic() < sent + lab.times.outage:
        await anyio.sleep(_POLL)
        answers = await _ask_both(lab, task)
    if "result" not in answers and not _is_surely_done(lab, answers, sent):
        raise UnknownError("the task may still be running")
    async with lab.connected(session) as (line, resumed):
        is_early = any(one.get("taskUUID") == task["taskUUID"] for one in resumed.early)
        is_late = not is_early and await _is_answered(lab, line, task)
    replay = "before" if is_early else "after" if is_late else "none"
    lab.learn(replay=replay)
    return "not replayed" if replay == "none" else f"replayed {replay} the authentication"


def _is_surely_done(lab: Lab, answers: list[Known], sent: float) -> bool:
    """Return whether a task of which nothing is told was sent so long ago that it must be done."""
    shortest = lab.findings.shortest_run
    is_running = "processing" in answers or shortest is None
    return not is_running and monotonic() - sent > _LONG * (shortest or 0.0)


async def _cut(lab: Lab) -> tuple[Item, str, float]:
    """Send a task and cut its connection; return the task, its session, and when it was sent.

    The task is a large one, so that it is not done before the cut.
    """
    task = lab.tiny(inputs={"image": flat(1024)}, upscaleFactor=4)
    async with lab.connected() as (line, authentication):
        lab.purse.charge()
        sent = await line.send(task)
        line.cut()
    return task, authentication.session, sent


async def _is_answered(lab: Lab, line: RawConnection, task: Item) -> bool:
    """Return whether the result of a task comes unasked."""
    try:
        reply = await lab.reply(line, task, lab.times.replay)
    except UnknownError:
        return False
    if not reply.is_result:
        raise UnknownError("the task was answered without a result")
    return True


async def _ask_both(lab: Lab, task: Item) -> list[Known]:
    """Ask for a task both ways, on a connection that did not send it."""
    async with lab.connected() as (line, _):
        questions = [question_about(way, task["taskUUID"]) for way in _BOTH]
        return [(await lab.ask(line, one)).known() for one in questions]


def _price(reply: Reply, least: float) -> float:
    """Return the price that a dry run has named, but no less than another one."""
    cost = (reply.item or {}).get("cost")
    return max(least, float(cost)) if isinstance(cost, int | float) else least


async def large_result(lab: Lab) -> str:
    """Have a result of 4096 x 4096 pixels sent in base64."""
    task = lab.tiny(inputs={"image": noise(1024)}, upscaleFactor=4, outputType="base64Data")
    if lab.findings.dry_run:
        async with lab.connected(dry=True) as (line, _):
            lab.purse.price = _price(await lab.ask(line, task), lab.purse.price)
    async with lab.connected() as (line, _):
        lab.purse.charge()
        sent = await line.send(task)
        reply = await lab.reply(line, task, lab.times.result)
    _result(lab, reply)
    lab.learn(result_bytes=reply.size)
    return f"a frame of {reply.size / 2**20:.1f} MiB after {reply.at - sent:.1f} s"
