"""Answer questions about the account and the models, as in Runware's documentation and SDKs.

They run nothing and cost nothing. Values without an equivalent in the emulator are made up.
"""

from __future__ import annotations

from ...protocol.request import MODELS
from ...protocol.wire import Item
from .answers import Answer
from .history import History
from .settings import ServiceSettings
from .validation import ValidTask

_ORGANIZATION = "00000000-0000-4000-8000-000000000000"
_PAGE = 20
_PERIODS = ("total", "today", "last7Days", "last30Days")


class Account:
    """Answers questions about the account and the models."""

    def __init__(self, settings: ServiceSettings, history: History) -> None:
        self._settings = settings
        self._history = history

    def details(self, task: ValidTask) -> Answer:
        """Return the answer to an accountManagement."""
        operation = task.task["operation"]
        item = _header(task) | {"operation": operation}
        if operation == "getDetails":
            return Answer([item | self._organization()])
        dates = {name: task.task[name] for name in ("startDate", "endDate") if name in task.task}
        usage = {"timeseries": {"meta": {"totalSpend": self._history.billed}}}
        return Answer([item | dates | {"usage": usage}])

    def models(self, task: ValidTask) -> Answer:
        """Return the answer to a modelSearch: a page of the upscale models that match."""
        found = [model for model in _CATALOGUE if _matches(model, task.task)]
        start = task.task.get("offset", 0)
        page = found[start : start + task.task.get("limit", _PAGE)]
        return Answer([_header(task) | {"results": page, "totalResults": len(found)}])

    def _organization(self) -> Item:
        requests = self._history.executions.total()
        used = {"credits": self._history.billed, "requests": requests}
        key = {"name": "Emulator", "apiKey": "****************", "enabled": True}
        return {
            "organizationUUID": _ORGANIZATION,
            "organizationName": "Emulator",
            "AIRSource": "emulator",
            "balance": self._balance(),
            "team": [{"name": "Emulator", "email": "emulator@localhost", "roles": ["Owner"]}],
            "apiKeys": [key | {"requests": requests}],
            "usage": dict.fromkeys(_PERIODS, used),
        }

    def _balance(self) -> float | Item:
        credit = self._settings.credit
        left = self._settings.made_up_balance if credit is None else credit - self._history.billed
        return left if self._settings.rules.balance == "number" else {"amount": left}


def _header(task: ValidTask) -> Item:
    return {"taskType": task.task_type, "taskUUID": task.uuid}


def _model(air: str, name: str) -> Item:
    names = {"name": name, "air": air, "version": air.rpartition("@")[2]}
    kinds = {"category": "checkpoint", "type": "base", "architecture": "upscale"}
    return names | kinds | {"tags": ["upscale"], "private": False}


_CATALOGUE = [_model(air, name) for air, name in MODELS.items()]


def _matches(model: Item, task: Item) -> bool:
    kinds = ("category", "architecture")
    text = task.get("search", "").lower()
    is_named = text in model["name"].lower() or text in model["air"].lower()
    return is_named and all(task.get(kind, model[kind]) == model[kind] for kind in kinds)
