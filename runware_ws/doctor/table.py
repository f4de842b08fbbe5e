"""The table of probes, and a function that runs them in order."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import anyio

from . import free, paid
from .adjustments import adjustments
from .context import ProbeContext, ProbeFailedError, ProbeFunction, State, UnknownError

# The most that a run may spend, in US dollars.
LIMIT = 0.02


@dataclass(frozen=True, slots=True)
class Row:
    """The outcome of a check or a probe.

    Attributes:
        name: the name of the check.
        text: its result.
        state: ``ok``, ``failed``, ``unknown`` or ``skipped``.
        cost: cost in US dollars; None for a check of this machine.
        client: the adjustments of a client that follow from it, as texts.
    """

    name: str
    text: str
    state: State = "ok"
    cost: float | None = None
    client: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Probe:
    """A probe of the service.

    Attributes:
        name: its name.
        run: its function.
        timeout: its time limit in seconds.
        is_vital: whether the other probes are pointless if it fails.
    """

    name: str
    run: ProbeFunction
    timeout: float = 30.0
    is_vital: bool = False


FREE = (
    Probe("authentication", free.authentication, is_vital=True),
    Probe("ping", free.ping, is_vital=True),
    Probe("old session", free.old_session),
    Probe("random session", free.random_session),
    Probe("getResponse, random UUID", free.unknown_task("getResponse", "unknown_response")),
    Probe("getTaskDetails, random UUID", free.unknown_task("getTaskDetails", "unknown_details")),
    Probe("account", free.account),
    Probe("dry run", free.dry_run),
    Probe("wrong factor", free.wrong_factor),
    Probe("arrays of 2, 20, 100", free.arrays, 60.0),
    Probe("inputs of 1 to 64 MiB", free.inputs, 300.0),
)
PAID = (
    Probe("sync task", paid.sync_task, 90.0),
    Probe("found afterwards", paid.found_afterwards),
    Probe("same UUID at once", paid.repeated("repeat_at_once"), 90.0),
    Probe("same UUID after a second", paid.repeated("repeat_after_second", "second"), 90.0),
    Probe("same UUID after a minute", paid.repeated("repeat_after_minute", "minute"), 150.0),
    Probe("details after a refusal", paid.details_after_refusal),
    Probe("async task", paid.async_task, 60.0),
    Probe("async twice, 0 ms apart", paid.twice("twice_at_once")),
    Probe("async twice, 50 ms apart", paid.twice("twice_after_50_ms", "moment")),
    Probe("async twice, 1000 ms apart", paid.twice("twice_after_second", "second")),
    Probe("sync task, cut off", paid.cut_task, 60.0),
    Probe("sync task, result missed", paid.missed_result, 60.0),
    Probe("4096 x 4096 in base64", paid.large_result, 120.0),
)


async def run_probes(
    probes: Iterable[Probe],
    context: ProbeContext,
    *,
    begin: Callable[[str], None],
    report: Callable[[Row], None],
) -> bool:
    """Run the probes in order. Only the failure of a vital probe stops the run.

    Args:
        probes: the probes.
        context: the state that they share.
        begin: called with the name of each probe before it runs.
        report: called with the outcome of each probe.

    Returns:
        True if all probes were run.
    """
    for probe in probes:
        begin(probe.name)
        row = await _outcome(probe, context)
        report(row)
        if probe.is_vital and row.state != "ok":
            return False
    return True


async def _outcome(probe: Probe, context: ProbeContext) -> Row:
    spent = context.allowance.spent
    before = {one.text for one in adjustments(context.findings)}
    state, text = await _result(probe, context)
    if probe.is_vital and state != "ok":
        state = "failed"
    client = tuple(one.text for one in adjustments(context.findings) if one.text not in before)
    text = context.key.hidden_in(text)  # also if the reason of a close frame quotes it
    return Row(probe.name, text, state, max(0.0, context.allowance.spent - spent), client)


async def _result(probe: Probe, context: ProbeContext) -> tuple[State, str]:
    try:
        with anyio.fail_after(probe.timeout):
            return "ok", await probe.run(context)
    except ProbeFailedError as error:
        return "failed", str(error)
    except UnknownError as error:
        return "unknown", str(error)
    except TimeoutError:
        return "unknown", "no answer in time"
    except Exception as error:  # noqa: BLE001  # whatever it is, the next probe may succeed
        return "unknown", str(error) or type(error).__name__
