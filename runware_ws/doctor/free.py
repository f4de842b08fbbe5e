"""The probes that cost nothing."""

from __future__ import annotations

from collections.abc import Mapping
from time import monotonic
from typing import Any

from ..error_codes import code_info
from ..errors import AuthenticationError
from ..options import new_uuid
from ..protocol.wire import ErrorItem, Item, encode_tasks
from ..transport import DisconnectedError
from .findings import Session
from .lab import Lab, Reply, TroubleError, UnknownError, question_about, words
from .picture import noise
from .raw import RawConnection

ARRAYS = (2, 20, 100)
INPUT_MEBIBYTES = (1, 4, 16, 64)


async def authentication(lab: Lab) -> str:
    """Authenticate."""
    started = monotonic()
    try:
        async with lab.connected():
            return f"key accepted, {_milliseconds(monotonic() - started)}"
    except AuthenticationError as error:
        raise TroubleError(f"the service refused the key: {error}") from None


async def ping(lab: Lab) -> str:
    """Send the application's ping."""
    async with lab.connected() as (line, _):
        sent = monotonic()
        reply = await lab.ask(line, {"taskType": "ping", "ping": True})
        if reply.error is not None:
            raise TroubleError(f"answered with an error: {words(reply.error)}")
        return f"answered in {_milliseconds(reply.at - sent)}"


async def old_session(lab: Lab) -> str:
    """Resume a session whose connection was cut."""
    async with lab.connected() as (line, authentication):
        line.cut()
    answer = await _session(lab, authentication.session)
    lab.learn(old_session=answer)
    return answer


async def random_session(lab: Lab) -> str:
    """Resume a session that never was."""
    answer = await _session(lab, new_uuid())
    lab.learn(random_session=answer)
    return answer if answer != "resumed" else "accepted as if it were known"


async def _session(lab: Lab, uuid: str) -> Session:
    try:
        async with lab.connected(uuid) as (_, authentication):
            return "resumed" if authentication.session == uuid else "new"
    except AuthenticationError:
        return "refused"
    except DisconnectedError as error:
        if error.reason.startswith("the server closed"):
            return "closed"
        raise


async def unknown_response(lab: Lab) -> str:
    """Ask for the result of a task that never was."""
    answer = await lab.known("getResponse", new_uuid())
    if answer not in ("empty", "not found"):
        raise UnknownError(f"answered with {answer}")
    lab.learn(unknown_response=answer)
    return answer


async def unknown_details(lab: Lab) -> str:
    """Ask for the details of a task that never was."""
    answer = await lab.known("getTaskDetails", new_uuid())
    if answer not in ("empty", "not found"):
        raise UnknownError(f"answered with {answer}")
    lab.learn(unknown_details=answer)
    return answer


async def account(lab: Lab) -> str:
    """Ask for the balance."""
    task = {"taskType": "accountManagement", "taskUUID": new_uuid(), "operation": "getDetails"}
    async with lab.connected() as (line, _):
        reply = await lab.ask(line, task)
    if reply.error is not None:
        raise UnknownError(words(reply.error))
    balance = _amount((reply.item or {}).get("balance"))
    if balance is None:
        raise UnknownError("the answer names no balance")
    if balance <= 0:
        raise TroubleError(f"there is no credit left: the balance is ${balance:.2f}")
    return f"balance ${balance:.2f}"


def _amount(balance: Any) -> float | None:
    """Return a balance that is a number, a text, or an object that holds one of them."""
    if isinstance(balance, Mapping):
        names = ("amount", "total", "available", "balance", "credits", "value")
        amounts = (_amount(balance.get(name)) for name in names)
        return next((one for one in amounts if one is not None), None)
    try:
        return None if balance is None or isinstance(balance, bool) else float(balance)
    except (TypeError, ValueError):
        return None


async def dry_run(lab: Lab) -> str:
    """Ask for a dry run of an upload, which costs nothing, and only then for that of an upscale.

    An upscale as a dry run would be run and billed by a service that knows no dry runs.
    """
    upload = {"taskType": "imageUpload", "taskUUID": new_uuid(), "image": noise(8)}
    async with lab.connected(dry=True) as (line, _):
        reply = await lab.ask(line, upload)
        if reply.error is not None:
            raise UnknownError(f"an upload was answered with {words(reply.error)}")
        if reply.is_result:
            lab.learn(dry_run=False)
            return "ignored: an upload was stored"
        task = lab.tiny()
        reply = await lab.ask(line, task)
    _check_permission(reply)
    lab.learn(dry_run=reply.error is None and not reply.is_result)
    if reply.error is not None or reply.item is None:
        raise UnknownError(f"answered with {words(reply.error) if reply.error else 'nothing'}")
    if reply.is_result:
        lab.purse.charge()
        raise TroubleError("an upload is not stored, and yet an upscale is run and billed")
    cost = reply.item.get("cost")
    if isinstance(cost, int | float) and cost > 0:
        lab.purse.price = float(cost)
        return f"honoured: an image costs ${cost:.4f}"
    return "honoured"


async def wrong_factor(lab: Lab) -> str:
    """Send a factor that the document does not allow, as a dry run."""
    async with lab.connected(dry=True) as (line, _):
        reply = await lab.ask(line, lab.tiny(upscaleFactor=3))
    if reply.error is None:
        raise UnknownError("factor 3 was not refused")
    _check_permission(reply)
    lab.learn(errors_name_task=reply.error.task_uuid is not None)
    named = "names its task" if reply.error.task_uuid else "names no task"
    return f"{reply.error.code}, {named}"


def _check_permission(reply: Reply) -> None:
    if reply.error is None:
        return
    kind = code_info(reply.error.code).exception
    if kind in ("PermissionDeniedError", "InsufficientCreditsError"):
        raise TroubleError(f"an upscale is refused: {words(reply.error)}")


async def arrays(lab: Lab) -> str:
    """Send questions in larger and larger arrays."""
    largest = 0
    for count in ARRAYS:
        refusal = await _array_refusal(lab, count)
        if refusal:
            lab.learn(tasks_refused=count)
            if not largest:
                raise TroubleError(f"an array of {count} was refused: {refusal}")
            return f"{largest} tasks taken, {count} refused: {refusal}"
        largest = count
        lab.learn(tasks_per_frame=count, tasks_refused=0)
    return f"{largest} tasks taken"


async def _array_refusal(lab: Lab, count: int) -> str:
    """Return why an array of questions was refused; "" if it was answered."""
    tasks = [question_about("getResponse", new_uuid()) for _ in range(count)]
    try:
        async with lab.connected() as (line, _):
            await line.send(*tasks)
            return await _first_refusal(lab, line, count)
    except DisconnectedError as error:
        if error.too_large == "sent" or error.reason.startswith("the server closed"):
            return error.reason
        raise


async def _first_refusal(lab: Lab, line: RawConnection, count: int) -> str:
    """Read the answers to questions about unknown tasks, of which empty ones may be one."""
    answers, timeout = 0, lab.times.answer
    while answers < count and (frame := await line.receive(timeout)):
        for error in frame.errors:
            if not code_info(error.code).not_found:
                return words(error)
        is_empty = not frame.items and not frame.errors
        answers += max(len(frame.items) + len(frame.errors), is_empty)
        timeout = lab.times.quiet if is_empty else timeout
    if not answers:
        raise UnknownError(f"no answer to an array of {count}")
    return ""


async def inputs(lab: Lab) -> str:
    """Send larger and larger inputs as dry runs."""
    if not lab.findings.dry_run:
        raise UnknownError("not tried: dry runs are not known to be honoured")
    largest = 0
    for size in INPUT_MEBIBYTES:
        refusal = await _input_refusal(lab, size * 2**20)
        if refusal:
            lab.learn(input_refused_bytes=size * 2**20)
            return f"{largest} MiB taken, {size} MiB refused: {refusal}"
        largest = size
        lab.learn(input_bytes=size * 2**20, input_refused_bytes=0)
    return f"{largest} MiB taken"


async def _input_refusal(lab: Lab, size: int) -> str:
    """Return why an input of `size` bytes in base64 was refused; "" if it was taken."""
    task: Item = lab.tiny()
    unpadded = len(task["inputs"]["image"])
    task["inputs"] = {"image": noise(64, padding=(size - unpadded) * 3 // 4)}
    try:
        async with lab.connected(dry=True) as (line, _):
            await line.send_bytes(encode_tasks([task]))
            error: ErrorItem | None = (await lab.reply(line, task, lab.times.result)).error
            return words(error) if error is not None else ""
    except DisconnectedError as error:
        if error.too_large == "sent":
            return error.reason
        raise


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.{0 if seconds >= 0.01 else 1}f} ms"
