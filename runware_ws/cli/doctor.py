"""The command ``doctor``."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Annotated

from ..protocol.secret import Secret
from ..runtime.environment import find_url
from ..settings import Settings
from ..transport import Target
from .connection import create_emulator
from .errors import UsageError
from .exit_status import FAILED, SUCCESS
from .options import ConnectionArguments, option


@dataclass(frozen=True, kw_only=True)
class DoctorArguments:
    """The options of ``doctor``."""

    spend: Annotated[
        bool,
        option(
            "Also run the probes that cost money: at most $0.02, for a dozen small images.",
            "--spend",
        ),
    ] = False
    as_json: Annotated[bool, option("Print one JSON object to stdout.", "--json")] = False


async def doctor(arguments: DoctorArguments, connection: ConnectionArguments) -> int:
    """Check this machine, and find out how the service behaves.

    The findings are kept in a profile in your state folder. Clients with the same
    URL and key read it, and poll and wait less where the service allows it.

    \b
    Examples:
      runware-ws doctor             # costs nothing
      runware-ws doctor --spend     # costs at most $0.02
      runware-ws doctor --emulator  # try it without a key

    \b
    Exit status:
      0         all checks passed
      1         a check failed
      2         wrong arguments
      130, 143  stopped by Ctrl-C or SIGTERM
    """
    from .doctor_report import Report, examine

    if connection.emulator and connection.url is not None:
        raise UsageError("--emulator and --url exclude each other; use one of them")
    async with AsyncExitStack() as stack:
        url, key = find_url(connection.url), None
        if connection.emulator:
            emulator = await stack.enter_async_context(create_emulator())
            url, key = emulator.url, Secret(emulator.api_key)
        Settings(url=url, allow_insecure=connection.allow_insecure)  # raises InputError
        report = Report(as_json=arguments.as_json, is_kept=not connection.emulator)
        stack.callback(report.close)  # also after Ctrl-C, so that paid findings are not lost
        await examine(report, Target(url), key, spend=arguments.spend)
    return FAILED if report.failed else SUCCESS
