"""Probes that cost nothing."""

from __future__ import annotations

from time import monotonic

from ..error_codes import code_info
from ..errors import AuthenticationError
from ..options import new_uuid
from ..other_tasks import amount_of
from ..protocol.wire import ErrorItem, Item, encode_tasks
from ..transport import DisconnectedError
from .context import (
    ProbeContext,
    ProbeFailedError,
    ProbeFunction,
    Reply,
    UnknownError,
    error_text,
    question_about,
)
from .findings import SessionAnswer
from .picture import noise
from .raw import RawConnection

ARRAYS = (2, 20, 100)
INPUT_MEBIBYTES = (1, 4, 16, 64)


async def authentication(context: ProbeContext) -> str:
    """Authenticate."""
    started = monotonic()
    try:
        async with context.connected():
            return f"key accepted, {_milliseconds(monotonic() - started)}"
    except AuthenticationError as error:
        raise ProbeFailedError(f"the service refused the key: {error}") from None


async def ping(context: ProbeContext) -> str:
    """Send the application's ping."""
    async with context.connected() as (connection, _):
        sent = monotonic()
        reply = await context.ask(connection, {"taskType": "ping", "ping": True})
        if reply.error is not None:
            raise ProbeFailedError(f"answered with an error: {error_text(reply.error)}")
        return f"answered in {_milliseconds(reply.at - sent)}"


async def old_session(context: ProbeContext) -> str:
    """Resume a session whose connection was cut."""
    async with context.connected() as (connection, authentication):
        connection.cut()
    answer = await _session(context, authentication.session)
    context.record(old_session=answer)
    return answer


async def random_session(context: ProbeContext) -> str:
    """Resume a session that does not exist."""
    answer = await _session(context, new_uuid())
    context.record(random_session=answer)
    return answer if answer != "resumed" else "accepted like a known one"


async def _session(context: ProbeContext, uuid: str) -> SessionAnswer:
    try:
        async with context.connected(uuid) as (_, authentication):
            return "resumed" if authentication.session == uuid else "new"
    except AuthenticationError:
        return "refused"
    except DisconnectedError as error:
        if error.reason.startswith("the server closed"):
            return "closed"
        raise


def unknown_task(question: str, finding: str) -> ProbeFunction:
    """Return a probe that asks about a task that does not exist."""

    async def probe(context: ProbeContext) -> str:
        answer = await context.known(question, new_uuid())
        if answer not in ("empty", "not found"):
            raise UnknownError(f"answered with {answer}")
        context.record(**{finding: answer})
        return answer

    return probe


async def account(context: ProbeContext) -> str:
    """Ask for the balance."""
    task = {"taskType": "accountManagement", "taskUUID": new_uuid(), "operation": "getDetails"}
    async with context.connected() as (connection, _):
        reply = await context.ask(connection, task)
    if reply.error is not None:
        raise UnknownError(error_text(reply.error))
    balance = amount_of((reply.item or {}).get("balance"))
    if balance is None:
        raise UnknownError("the answer contains no balance")
    if balance <= 0:
        raise ProbeFailedError(f"no credit is left: the balance is ${balance:.2f}")
    return f"balance ${balance:.2f}"


async def dry_run(context: ProbeContext) -> str:
    """Ask for a dry run of an upload, which costs nothing, and only then for one of an upscale.

    A service without dry runs would run and bill the upscale.
    """
    upload = {"taskType": "imageUpload", "taskUUID": new_uuid(), "image": noise(8)}
    async with context.connected(dry=True) as (connection, _):
        reply = await context.ask(connection, upload)
        if reply.error is not None:
            raise UnknownError(f"an upload was answered with {error_text(reply.error)}")
        if reply.is_result:
            context.record(dry_run=False)
            return "ignored: an upload was stored"
        task = context.tiny()
        reply = await context.ask(connection, task)
    _check_permission(reply)
    context.record(dry_run=reply.error is None and not reply.is_result)
    if reply.error is not None or reply.item is None:
        raise UnknownError(f"answered with {error_text(reply.error) if reply.error else 'nothing'}")
    if reply.is_result:
        context.allowance.charge()
        raise ProbeFailedError("an upload is not stored, but an upscale is run and billed")
    cost = reply.item.get("cost")
    if isinstance(cost, int | float) and cost > 0:
        context.allowance.price = float(cost)
        return f"honoured: an image costs ${cost:.4f}"
    return "honoured"


async def wrong_factor(context: ProbeContext) -> str:
    """Send a factor that the documentation does not allow, as a dry run."""
    async with context.connected(dry=True) as (connection, _):
        reply = await context.ask(connection, context.tiny(upscaleFactor=3))
    if reply.error is None:
        raise UnknownError("factor 3 was not refused")
    _check_permission(reply)
    context.record(errors_name_task=reply.error.task_uuid is not None)
    named = "names its task" if reply.error.task_uuid else "does not name its task"
    return f"{reply.error.code}, {named}"


def _check_permission(reply: Reply) -> None:
    if reply.error is None:
        return
    kind = code_info(reply.error.code).exception
    if kind in ("PermissionDeniedError", "InsufficientCreditsError"):
        raise ProbeFailedError(f"an upscale is refused: {error_text(reply.error)}")


async def arrays(context: ProbeContext) -> str:
    """Send questions in arrays of increasing size."""
    largest = 0
    for count in ARRAYS:
        refusal = await _array_refusal(context, count)
        if refusal:
            context.record(tasks_refused=count)
            if not largest:
                raise ProbeFailedError(f"an array of {count} was refused: {refusal}")
            return f"{largest} tasks accepted, {count} refused: {refusal}"
        largest = count
        context.record(tasks_per_frame=count, tasks_refused=0)
    return f"{largest} tasks accepted"


async def _array_refusal(context: ProbeContext, count: int) -> str:
    """Return the reason for which an array of questions was refused; "" if it was answered."""
    tasks = [question_about("getResponse", new_uuid()) for _ in range(count)]
    try:
        async with context.connected() as (connection, _):
            await connection.send(*tasks)
            return await _first_refusal(context, connection, count)
    except DisconnectedError as error:
        if error.too_large == "sent" or error.reason.startswith("the server closed"):
            return error.reason
        raise


async def _first_refusal(context: ProbeContext, connection: RawConnection, count: int) -> str:
    """Return the first error in the answers to questions about unknown tasks; "" if there is none.

    One empty answer may stand for all of them.
    """
    answers, timeout = 0, context.times.answer
    while answers < count and (frame := await connection.receive(timeout)):
        for error in frame.errors:
            if not code_info(error.code).not_found:
                return error_text(error)
        is_empty = not frame.items and not frame.errors
        answers += max(len(frame.items) + len(frame.errors), is_empty)
        timeout = context.times.quiet if is_empty else timeout
    if not answers:
        raise UnknownError(f"no answer to an array of {count}")
    return ""


async def inputs(context: ProbeContext) -> str:
    """Send inputs of increasing size as dry runs."""
    if not context.findings.dry_run:
        raise UnknownError("not tried: dry runs are not known to be honoured")
    largest = 0
    for size in INPUT_MEBIBYTES:
        refusal = await _input_refusal(context, size * 2**20)
        if refusal:
            context.record(input_refused_bytes=size * 2**20)
            return f"{largest} MiB accepted, {size} MiB refused: {refusal}"
        largest = size
        context.record(input_bytes=size * 2**20, input_refused_bytes=0)
    return f"{largest} MiB accepted"


async def _input_refusal(context: ProbeContext, size: int) -> str:
    """Return the reason for which an input of `size` bytes in base64 was refused; "" if none."""
    task: Item = context.tiny()
    unpadded = len(task["inputs"]["image"])
    task["inputs"] = {"image": noise(64, padding=(size - unpadded) * 3 // 4)}
    try:
        async with context.connected(dry=True) as (connection, _):
            await connection.send_bytes(encode_tasks([task]))
            error: ErrorItem | None = (
                await context.reply(connection, task, context.times.result)
            ).error
            return error_text(error) if error is not None else ""
    except DisconnectedError as error:
        if error.too_large == "sent":
            return error.reason
        raise


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.{0 if seconds >= 0.01 else 1}f} ms"
