"""The probes in their order, and the way to go through them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

import anyio

from . import free, paid
from .lab import Lab, State, TroubleError, UnknownError
from .lessons import lessons

# No run spends more, in US dollars.
LIMIT = 0.02


@dataclass(frozen=True, slots=True)
class Row:
    """The outcome of a check or a probe.

    Attributes:
        name: the name of the check.
        text: its result.
        state: ``ok``, ``failed``, ``unknown`` or ``skipped``.
        cost: in US dollars; None for a check of this machine.
        client: what a client does differently because of it.
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
        run: asks the service, takes note of findings, and returns the result in words.
        timeout: its time limit in seconds.
        is_vital: whether nothing else works if it fails.
    """

    name: str
    run: Callable[[Lab], Awaitable[str]]
    timeout: float = 30.0
    is_vital: bool = False


FREE = (
    Probe("authentication", free.authentication, is_vital=True),
    Probe("ping", free.ping, is_vital=True),
    Probe("old session", free.old_session),
    Probe("random session", free.random_session),
    Probe("getResponse, random UUID", free.unknown_response),
    Probe("getTaskDetails, random UUID", free.unknown_details),
    Probe("account", free.account),
    Probe("dry run", free.dry_run),
    Probe("wrong factor", free.wrong_factor),
    Probe("arrays of 2, 20, 100", free.arrays, 60.0),
    Probe("inputs of 1 to 64 MiB", free.inputs, 300.0),
)
PAID = (
    Probe("sync task", paid.sync_task, 90.0),
    Probe("found afterwards", paid.found_afterwards),
    Probe("same UUID at once", paid.repeat_at_once, 90.0),
    Probe("same UUID after a second", paid.repeat_after_second, 90.0),
    Probe("same UUID after a minute", paid.repeat_after_minute, 150.0),
    Probe("details after a refusal", paid.details_after_refusal),
    Probe("async task", paid.async_task, 60.0),
    Probe("async twice, 0 ms apart", paid.twice_at_once),
    Probe("async twice, 50 ms apart", paid.twice_after_50_ms),
    Probe("async twice, 1000 ms apart", paid.twice_after_second),
    Probe("sync task, cut off", paid.cut_task, 60.0),
    Probe("sync task, result missed", paid.missed_result, 60.0),
    Probe("4096 x 4096 in base64", paid.large_result, 120.0),
)


async def go_through(
    probes: Iterable[Probe],
    lab: Lab,
    *,
    begin: Callable[[str], None],
    report: Callable[[Row], None],
) -> bool:
    """Run the probes in order. One that fails does not stop the next, unless it is vital.

    Args:
        probes: the probes.
        lab: what they share.
        begin: called with the name of each probe.
        report: called with its outcome.

    Returns:
        True if all were run.
    """
    for probe in probes:
        begin(probe.name)
        row = await _outcome(probe, lab)
        report(row)
        if probe.is_vital and row.state != "ok":
            return False
    return True


async def _outcome(probe: Probe, lab: Lab) -> Row:
    spent, before = lab.purse.spent, {lesson.words for lesson in lessons(lab.findings)}
    state, text = await _result(probe, lab)
    if probe.is_vital and state != "ok":
        state = "failed"
    client = tuple(one.words for one in lessons(lab.findings) if one.words not in before)
    text = lab.key.hidden_in(text)  # also where the reason of a close frame quotes it
    return Row(probe.name, text, state, max(0.0, lab.purse.spent - spent), client)


async def _result(probe: Probe, lab: Lab) -> tuple[State, str]:
    try:
        with anyio.fail_after(probe.timeout):
            return "ok", await probe.run(lab)
    except TroubleError as error:
        return "failed", str(error)
    except UnknownError as error:
        return "unknown", str(error)
    except TimeoutError:
        return "unknown", "no answer in time"
    except Exception as error:  # noqa: BLE001  # whatever it is, the next probe may fare better
        return "unknown", str(error) or type(error).__name__
