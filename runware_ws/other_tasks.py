"""Tasks other than upscaling, over the same connection."""

from __future__ import annotations

from collections.abc import Mapping
from types import EllipsisType
from typing import Any

from .errors import InputError, ProtocolError
from .options import check_json_object, check_task_uuid, new_uuid
from .runtime.base_client import BaseClient
from .runtime.concurrency import uninterruptible

# Types of tasks that only the client itself sends, each with what to use instead.
_OWN = {
    "authentication": "it is sent by the client",
    "ping": "use ping()",
    "getResponse": "use attach()",
    "getTaskDetails": "use attach()",
}
# Members that may hold the amount, if an account's balance is an object.
_AMOUNTS = ("amount", "balance", "total", "available", "value", "credits")
_ACCOUNT_DETAILS = {"taskType": "accountManagement", "operation": "getDetails"}


@uninterruptible
class OtherTasks(BaseClient):
    """The methods of `RunwareClient` for tasks other than upscaling."""

    async def run(
        self,
        task: Mapping[str, Any],
        *,
        results: int = 1,
        timeout: float | EllipsisType | None = ...,
    ) -> Any:
        """Run a task of any other type, and return its result as received.

        It is treated like an upscale task: after a disconnect the service is asked for its result,
        it is retried after a transient error, and never sent again once the service knows it. The
        journal does not hold it. If the call is cancelled, the task is given up.

        Args:
            task: its members by their names on the wire, such as ``{"taskType": "modelSearch",
                "search": "portrait"}``. If ``taskUUID`` is missing, a new one is added.
            results: number of results to wait for (``numberResults`` of some types of tasks).
            timeout: seconds from this call until the task must be settled; None for no limit.
                Default: the client's ``timeout``.

        Returns:
            The result as a dict; a list of dicts if `results` is greater than 1.

        Raises:
            InputError: an argument is wrong; nothing was sent.
            TaskError, TaskTimeoutError, ResultLostError, ProtocolError, ConnectionLostError,
                ClientClosedError, AuthenticationError, JournalError: see `upscale`.
        """
        submitter = self._opened()
        wanted = _check_results(results)
        found = await submitter.run(_check_task(task), wanted, self._timeout(timeout))
        return found if wanted > 1 else found[0]

    async def balance(self, *, timeout: float | EllipsisType | None = ...) -> float:
        """Return the balance of the account in US dollars.

        Args:
            timeout: seconds; see `run`.

        Raises:
            TaskError: the key has no permission to read it.
            ProtocolError: the answer contains no balance.
            RunwareError: see `run`.
        """
        account = await self.run(_ACCOUNT_DETAILS, timeout=timeout)
        balance = amount_of(account.get("balance"))
        if balance is None:
            raise ProtocolError("the account's details hold no balance that can be read")
        return balance


def _check_task(task: object) -> dict[str, Any]:
    """Return the members of a task, with a taskUUID right after its taskType.

    Raises:
        InputError: it is not a task that can be run.
    """
    if task is None:
        raise InputError("task", "is None", "pass a dict with a taskType")
    members = check_json_object("task", task)
    kind = members.pop("taskType", None)
    if not isinstance(kind, str) or not kind:
        raise InputError("task", "has no taskType", "add one, such as 'imageInference'")
    if kind in _OWN:
        raise InputError("task", f"of type {kind!r} cannot be run", _OWN[kind])
    uuid = members.pop("taskUUID", None)
    name = new_uuid() if uuid is None else check_task_uuid(uuid)
    return {"taskType": kind, "taskUUID": name, **members}


def _check_results(results: object) -> int:
    """Return the number of results that a task has.

    Raises:
        InputError: it is not an integer of at least 1.
    """
    if not isinstance(results, int) or isinstance(results, bool) or results < 1:
        raise InputError("results", f"{results!r} is not a number of results", "pass 1 or more")
    return results


def amount_of(balance: Any) -> float | None:
    """Return a balance that is a number, a text, or an object that holds one; else None."""
    if isinstance(balance, Mapping):
        amounts = (amount_of(balance.get(name)) for name in _AMOUNTS)
        return next((one for one in amounts if one is not None), None)
    try:
        return None if balance is None or isinstance(balance, bool) else float(balance)
    except (TypeError, ValueError):
        return None
