"""Single probes: beside services that behave otherwise than the emulator, and what they spend."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from runware_ws.doctor import paid
from runware_ws.doctor.context import ProbeContext, Times, UnknownError
from runware_ws.doctor.findings import Findings
from runware_ws.doctor.table import FREE, PAID, Probe, Row
from runware_ws.emulator import Emulator
from runware_ws.transport import DisconnectedError
from tests.doctor.services import QUICK, context_of, emulator_of, examine, probes
from tests.support.answers import Item, error, result
from tests.support.clients import KEY
from tests.support.scripted import Connection, Script, ScriptedServer, replying

pytestmark = pytest.mark.anyio

MANY = 60  # connections, of which each plays the same script
HASTY = replace(QUICK, answer=0.5, quiet=0.05, result=0.5, search=0.3, second=0.1, minute=0.1)


async def rows_of(
    script: Script,
    *names: str,
    limit: float = 0.02,
    known: Findings | None = None,
    times: Times = HASTY,
) -> tuple[dict[str, Row], ProbeContext, ScriptedServer]:
    """Run probes beside a service all of whose connections play a script."""
    with ScriptedServer(*[script] * MANY) as server:
        context = context_of(server.url, KEY, times, limit)
        context.findings = known or context.findings
        rows = await examine(context, probes(*names))
    return rows, context, server


def answering(answer: Callable[[Item], Any]) -> Script:
    return replying(answer)


def refusing(code: str, **members: Any) -> Script:
    return replying(lambda task: {"errors": [error(code, task, **members)]})


# What is free


@pytest.mark.long
@pytest.mark.parametrize("preset", ["documented", "worst"])
async def test_without_consent_nothing_is_billed(preset: str) -> None:
    async with emulator_of(preset) as emulator:
        rows = await examine(context_of(emulator.url, emulator.api_key), FREE)
        assert emulator.billed == 0
        kinds = {one.task["taskType"] for one in emulator.requests}
        assert preset != "worst" or sum(emulator.executions.values()) == 1, "an upload"
    assert {name for name, row in rows.items() if row.state == "failed"} == set()
    assert all(row.cost == 0 for row in rows.values())
    assert "upscale" in kinds, "for the wrong factor"


async def test_a_service_that_ignores_dry_runs_gets_no_task_that_it_could_run() -> None:
    async with emulator_of("worst") as emulator:
        rows = await examine(context_of(emulator.url, emulator.api_key), FREE)
        tasks = [one.task for one in emulator.requests if one.task["taskType"] == "upscale"]
    assert [task["upscaleFactor"] for task in tasks] == [3]
    assert rows["dry run"].text.startswith("ignored")
    assert rows["inputs of 1 to 64 MiB"].state == "unknown"


@pytest.mark.long
async def test_inputs_up_to_64_mebibytes_are_taken_as_dry_runs() -> None:
    async with emulator_of("documented") as emulator:
        context = context_of(emulator.url, emulator.api_key)
        rows = await examine(context, probes("dry run", "inputs of 1 to 64 MiB"))
        assert emulator.billed == 0
    assert rows["dry run"].text == "honoured: an image costs $0.0013"
    assert rows["inputs of 1 to 64 MiB"].text == "64 MiB accepted"
    assert (context.findings.input_bytes, context.findings.input_refused_bytes) == (64 * 2**20, 0)


@pytest.mark.parametrize("how", ["close", "error"])
async def test_an_input_that_is_refused_is_a_limit(how: str) -> None:
    async def strict(connection: Connection) -> None:
        await connection.accept()
        for task in await connection.receive():
            if len(task["inputs"]["image"]) < 2 * 2**20:
                await connection.send({"taskUUID": task["taskUUID"], "cost": 0.002})
            elif how == "close":
                await connection.close(1009, "message too big")
            else:
                await connection.send(errors=[error("maxImageSize", task)])
        await connection.receive()

    rows, context, _ = await rows_of(strict, "inputs of 1 to 64 MiB", known=Findings(dry_run=True))
    assert rows["inputs of 1 to 64 MiB"].text.startswith("1 MiB accepted, 4 MiB refused: ")
    assert (context.findings.input_bytes, context.findings.input_refused_bytes) == (
        2**20,
        4 * 2**20,
    )
    assert rows["inputs of 1 to 64 MiB"].client == (
        "refuses images of 4 MiB in base64 before sending",
    )


async def test_a_line_that_breaks_is_no_limit() -> None:
    async def breaks(connection: Connection) -> None:
        await connection.accept()
        await connection.receive()
        connection.abort()

    names = ("inputs of 1 to 64 MiB", "arrays of 2, 20, 100")
    rows, context, _ = await rows_of(breaks, *names, known=Findings(dry_run=True))
    assert {row.state for row in rows.values()} == {"unknown"}
    assert context.findings == Findings(dry_run=True)


@pytest.mark.parametrize("how", ["close", "error"])
async def test_an_array_that_is_refused_is_a_limit(how: str) -> None:
    async def strict(connection: Connection) -> None:
        await connection.accept()
        tasks = await connection.receive()
        if len(tasks) <= 20:
            await connection.answer(*tasks)
        elif how == "close":
            await connection.close(1008, "too many tasks")
        else:
            await connection.send(errors=[error("arrayTooLong")])
        await connection.receive()

    rows, context, _ = await rows_of(strict, "arrays of 2, 20, 100")
    assert rows["arrays of 2, 20, 100"].text.startswith("20 tasks accepted, 100 refused: ")
    assert (context.findings.tasks_per_frame, context.findings.tasks_refused) == (20, 100)
    assert rows["arrays of 2, 20, 100"].client == ("sends at most 20 tasks in one frame",)


@pytest.mark.parametrize(
    ("balance", "state"),
    [
        (12.5, "ok"),
        ("12.5", "ok"),
        ({"amount": 12.5, "currency": "USD"}, "ok"),
        ({"total": {"amount": 12.5}}, "ok"),
        (0, "failed"),
        ({"amount": -1}, "failed"),
        (None, "unknown"),
        ({}, "unknown"),
        (True, "unknown"),
    ],
)
async def test_a_balance_is_read_in_all_forms(balance: Any, state: str) -> None:
    def account(task: Item) -> Item:
        item = {"taskType": "accountManagement", "taskUUID": task["taskUUID"]}
        return {"data": [item | {"balance": balance}]}

    rows, _, _ = await rows_of(answering(account), "account")
    assert rows["account"].state == state
    assert state != "ok" or rows["account"].text == "balance $12.50"


@pytest.mark.parametrize("code", ["forbidden", "insufficientCredits"])
async def test_a_key_that_may_not_upscale_is_wrong(code: str) -> None:
    rows, _, _ = await rows_of(refusing(code), "wrong factor")
    assert rows["wrong factor"].state == "failed"
    assert code in rows["wrong factor"].text


# Failures


async def test_a_refused_key_is_named_and_ends_the_examination() -> None:
    async with emulator_of("documented") as emulator:
        rows = await examine(context_of(emulator.url, "another key"), FREE)
    assert list(rows) == ["authentication"]
    assert rows["authentication"].state == "failed"
    assert "the service refused the key: " in rows["authentication"].text


async def test_a_probe_that_fails_does_not_stop_the_next() -> None:
    async def fails(context: ProbeContext) -> str:
        raise KeyError("a bug")

    async def hangs(context: ProbeContext) -> str:
        async with context.connected() as (line, _):
            await line.receive()
        raise AssertionError

    async def cannot_tell(context: ProbeContext) -> str:
        raise UnknownError("it is foggy")

    async def breaks(context: ProbeContext) -> str:
        async with context.connected():
            raise DisconnectedError("the line is cut")

    async def works(context: ProbeContext) -> str:
        return "fine"

    which = [
        Probe("fails", fails),
        Probe("hangs", hangs, timeout=0.2),
        Probe("cannot tell", cannot_tell),
        Probe("breaks", breaks),
        Probe("works", works),
    ]
    with ScriptedServer() as server:
        rows = await examine(context_of(server.url, KEY), which)
    assert [(row.state, row.text) for row in rows.values()] == [
        ("unknown", "'a bug'"),
        ("unknown", "no answer in time"),
        ("unknown", "it is foggy"),
        ("unknown", "the line is cut"),
        ("ok", "fine"),
    ]


async def test_the_key_is_in_no_row_though_the_service_quotes_it() -> None:
    def quotes(task: Item) -> Item:
        return {"errors": [error("invalidThing", task, message=f"not with {KEY}")]}

    rows, _, _ = await rows_of(answering(quotes), *[probe.name for probe in (*FREE[1:], *PAID)])
    assert "not with (the key)" in str(rows)
    assert KEY not in str(rows)


async def test_the_key_is_in_no_row_though_a_close_frame_quotes_it() -> None:
    async def quotes(connection: Connection) -> None:
        await connection.receive()
        await connection.close(1008, f"not with {KEY}")

    rows, _, _ = await rows_of(quotes, "authentication")
    assert rows["authentication"].state == "failed"
    assert "not with (the key)" in rows["authentication"].text


@pytest.mark.parametrize("probe", PAID, ids=lambda probe: probe.name)
async def test_what_a_service_has_no_use_for_is_unknown_and_costs_nothing(probe: Probe) -> None:
    rows, context, _ = await rows_of(refusing("imageTooSmall"), probe.name)
    assert rows[probe.name].state == "unknown"
    assert context.findings == Findings()
    is_heard = probe.run not in (paid.cut_task, paid.missed_result)  # or it may have been run
    assert not is_heard or context.allowance.spent == pytest.approx(0)


@pytest.mark.parametrize("probe", FREE[2:], ids=lambda probe: probe.name)
async def test_silence_is_unknown(probe: Probe) -> None:
    impatient = replace(HASTY, answer=0.15, result=0.15, search=0.15)
    rows, context, _ = await rows_of(answering(lambda task: None), probe.name, times=impatient)
    if probe.name not in ("old session", "random session"):
        assert rows[probe.name].state == "unknown"
        assert context.findings == Findings()


# Money


async def test_no_more_is_spent_than_was_said() -> None:
    """Not even if the service charges more than its example says."""

    def dear(task: Item) -> Item:
        return {"data": [result(task, cost=0.009)]}

    names = ["sync task", "same UUID at once", "same UUID after a second", "async task"]
    rows, context, server = await rows_of(answering(dear), *names)
    assert context.allowance.spent == pytest.approx(0.018)
    assert len(server.of_kind("upscale")) == 2
    assert rows["same UUID after a second"].text == ("not tried: the total could exceed $0.02")
    assert rows["same UUID after a second"].state == "unknown"


async def test_the_price_of_a_large_image_is_asked_for_first() -> None:
    def dear(task: Item) -> Item:
        return {"data": [{"taskUUID": task["taskUUID"], "cost": 0.5}]}

    known = Findings(dry_run=True)
    rows, context, server = await rows_of(answering(dear), "4096 x 4096 in base64", known=known)
    assert "the total could exceed" in rows["4096 x 4096 in base64"].text
    assert len(server.of_kind("upscale")) == 1, "a dry run"
    assert context.allowance.spent == 0


@pytest.mark.long
async def test_a_large_result_really_comes() -> None:
    async with Emulator() as emulator:
        context = context_of(emulator.url, emulator.api_key, replace(QUICK, result=60.0))
        rows = await examine(context, probes("4096 x 4096 in base64"))
    assert rows["4096 x 4096 in base64"].state == "ok"
    assert (context.findings.result_bytes or 0) > 2**20


# Identity


async def test_a_service_that_gives_the_same_result_again_is_known_for_that() -> None:
    results: dict[str, Item] = {}

    def idempotent(task: Item) -> Item:
        return {"data": [results.setdefault(task["taskUUID"], result(task))]}

    rows, context, _ = await rows_of(answering(idempotent), "sync task", "same UUID at once")
    assert rows["same UUID at once"].text == "same result"
    assert context.findings.repeat_at_once == "same result"


async def test_a_conflict_that_names_no_task_is_a_refusal() -> None:
    async def script(connection: Connection) -> None:
        await connection.accept()
        (task,) = await connection.receive()
        if task["taskUUID"] in connection.record.known:
            await connection.send(errors=[error("conflictTaskUUID")])
        else:
            await connection.answer(task)
        await connection.receive()

    _, context, _ = await rows_of(script, "sync task", "same UUID at once")
    assert context.findings.repeat_at_once == "refused"
    assert context.allowance.spent == pytest.approx(0.0013)


async def test_details_that_hold_the_refusal_are_told_from_those_with_the_result() -> None:
    async def script(connection: Connection) -> None:
        await connection.accept()
        (task,) = await connection.receive()
        conflict = error("conflictTaskUUID", task)
        if task["taskType"] == "getTaskDetails":
            details = {"request": [task], "response": {"errors": [conflict]}}
            await connection.send({**task, **details})
        elif task["taskUUID"] in connection.record.known:
            await connection.send(errors=[conflict])
        else:
            await connection.answer(task)
        await connection.receive()

    names = ("sync task", "same UUID at once", "details after a refusal")
    _, context, _ = await rows_of(script, *names)
    assert context.findings.details_after_refusal == "refusal"


async def test_answers_may_write_the_uuid_in_upper_case() -> None:
    def shouts(task: Item) -> Any:
        return json.dumps({"data": [result(task, taskUUID=task["taskUUID"].upper())]})

    rows, _, _ = await rows_of(answering(shouts), "sync task")
    assert rows["sync task"].state == "ok"
