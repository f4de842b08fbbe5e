"""The command ``emulate``."""

from __future__ import annotations

import asyncio
import json
import shlex
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import anyio
import anyio.to_thread
import typer

from ..emulator import PRESETS, Rules, ServiceSettings
from ..errors import InputError
from ..settings import is_loopback
from .connection import create_emulator
from .errors import UsageError
from .exit_status import SUCCESS
from .options import FAULTS, default_of, option

if TYPE_CHECKING:
    from ..emulator import Emulator


Value = TypeVar("Value")
Parsed = TypeVar("Parsed")
_RULES_HELP = (
    f"Rules for behaviour that Runware does not document: {', '.join(PRESETS)}, or a JSON file "
    'with values of runware_ws.emulator.Rules, such as {"conflicts": "running", "replay": "none"}.'
)


@dataclass(frozen=True, kw_only=True)
class EmulateArguments:
    """The options of ``emulate``."""

    host: Annotated[str, option("Address to listen on.", value="ADDRESS")] = "127.0.0.1"
    port: Annotated[
        int, option("Port to listen on; 0 for any free port.", value="NUMBER", min=0, max=65535)
    ] = 8765
    key: Annotated[
        str | None, option("API key to accept. Default: a random one.", value="TEXT")
    ] = None
    latency: Annotated[
        float, option("Time added to each image, to simulate a model.", value="SECONDS", min=0)
    ] = 0.0
    workers: Annotated[
        int | None,
        option(
            "Images processed at once. Default: one per processor, at most 8.",
            value="NUMBER",
            min=1,
        ),
    ] = None
    cost: Annotated[float, option("Cost reported for each image.", value="DOLLARS", min=0)] = (
        default_of(ServiceSettings, "cost")
    )
    credit: Annotated[
        float | None, option("Credit of the account. Default: no limit.", value="DOLLARS", min=0)
    ] = None
    rules: Annotated[
        str,
        option(_RULES_HELP, value="NAME|FILE"),
    ] = "documented"
    allow_host: Annotated[
        list[str] | None,
        option(
            "Host to which webhooks and uploads may go, besides this machine; '*' for all. "
            "May be given several times.",
            value="NAME",
        ),
    ] = None
    faults: Annotated[
        Path | None,
        option(
            "Script of faults to inject, in TOML or JSON; see runware_ws.emulator.faults.",
            value="FILE",
            panel=FAULTS,
        ),
    ] = None
    fault: Annotated[
        list[str] | None,
        option(
            "Fault to inject, such as 'drop every=10 how=reset', 'fail nth=3 code=timeout' or "
            "'lose probability=0.05'. May be given several times.",
            value="'KIND NAME=VALUE…'",
            panel=FAULTS,
        ),
    ] = None
    seed: Annotated[
        int | None,
        option(
            "Seed of faults with a probability. Default: that of the script, or a random one, "
            "which is printed.",
            value="NUMBER",
            panel=FAULTS,
        ),
    ] = None

    def settings(self) -> dict[str, Any]:
        """Return the arguments of `Emulator`.

        Raises:
            UsageError: an option is wrong.
        """
        from ..emulator.faults.script import Script, fault_of, read_script

        for name, value in (("--host", self.host), ("--key", self.key)):
            if value is not None and not value.strip():
                raise UsageError(f"{name}: is empty; leave it out, or give a value")
        script = Script() if self.faults is None else _parse("--faults", read_script, self.faults)
        faults = [_parse("--fault", fault_of, one) for one in self.fault or ()]
        return {
            "host": self.host,
            "port": self.port,
            "api_key": self.key,
            "latency": self.latency,
            "workers": self.workers,
            "cost": self.cost,
            "credit": self.credit,
            "allow_hosts": self.allow_host or (),
            "rules": _parse("--rules", read_rules, self.rules),
            "faults": [*script.faults, *faults],
            "seed": script.seed if self.seed is None else self.seed,
        }


def read_rules(text: str) -> Rules:
    """Return the preset with this name, or the rules in the JSON file with this path.

    Raises:
        InputError: neither exists, or a rule is unknown or has a value that is not allowed.
    """
    if text in PRESETS:
        return PRESETS[text]
    try:
        values = json.loads(Path(text).read_bytes())
    except OSError as error:
        remedy = f"give the path of a file, or one of: {', '.join(PRESETS)}"
        raise InputError(text, f"cannot be read: {error.strerror}", remedy) from None
    except ValueError as error:
        raise InputError(text, f"is not JSON: {error}", "correct it") from None
    if not isinstance(values, dict):
        raise InputError(text, "is not an object", 'give one such as {"replay": "none"}')
    try:
        return Rules.from_mapping(values)
    except InputError as error:
        raise InputError(f"{text}: {error.parameter}", error.problem, error.remedy) from None


def _parse(name: str, parse: Callable[[Value], Parsed], value: Value) -> Parsed:
    try:
        return parse(value)
    except InputError as error:
        raise UsageError(f"{name}: {error}") from None


async def emulate(arguments: EmulateArguments) -> int:
    """Run a local emulator of the service.

    It speaks the protocol of Runware, and upscales images with Lanczos resampling
    instead of the model. It prints how to connect to it, and runs until Ctrl-C.

    \b
    Examples:
      runware-ws emulate
      runware-ws emulate --latency 0.5 --fault 'drop every=10 how=reset'
      runware-ws emulate --rules worst

    \b
    Exit status:
      0  stopped by Ctrl-C or SIGTERM
      2  wrong arguments, or the port is in use
    """
    settings = arguments.settings()
    emulator = await _start(settings)
    try:
        typer.echo(instructions(emulator, arguments.host))
        if arguments.rules != default_of(EmulateArguments, "rules"):
            typer.echo(f"\nrules: {arguments.rules}")
        if settings["faults"]:
            typer.echo(f"\nfaults: {len(settings['faults'])}, drawn from seed {emulator.seed}")
        with suppress(asyncio.CancelledError):
            await anyio.sleep_forever()
    finally:
        emulator.stop()
    typer.echo(f"\nstopped; images upscaled: {sum(emulator.executions.values())}")
    if settings["faults"]:
        counts = [f"{kind} {count}" for kind, count in emulator.faults_struck.most_common()]
        typer.echo(f"faults: {', '.join(counts) or 'none'}")
    return SUCCESS


async def _start(settings: dict[str, Any]) -> Emulator:
    try:
        emulator = create_emulator(**settings)
        await anyio.to_thread.run_sync(emulator.start)
    except ValueError as error:
        raise UsageError(str(error)) from None
    except OSError as error:
        where = f"{settings['host']}, port {settings['port']}"
        raise UsageError(
            f"cannot listen on {where}: {error.strerror}; choose others with --host and --port"
        ) from None
    return emulator


def instructions(emulator: Emulator, host: str) -> str:
    """Return how to connect to an emulator that listens on `host`."""
    # A client cannot connect to the address that means "all addresses".
    url = emulator.url.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:")
    lines = [
        f"emulator at {emulator.url}, REST at {emulator.http_url}/v1",
        "Images are resampled with Lanczos, and costs are made up. Press Ctrl-C to stop.",
        "",
        "To use it, in another terminal:",
        f"  export RUNWARE_URL={url}",
        f"  export RUNWARE_API_KEY={shlex.quote(emulator.api_key)}",
    ]
    if not is_loopback(host):
        lines += ["", "Other machines can connect, unencrypted: clients need --allow-insecure."]
    return "\n".join(lines)
