"""Options that several commands share, and commands made from dataclasses of options."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, fields
from typing import Annotated, Any, get_type_hints

import typer

from ..protocol.request import MEMBERS
from .errors import OPTIONS
from .exit_status import exit_with

# Panels that group the options in --help.
RESULTS, LIMITS, CONNECTION, FAULTS = "Results", "Limits", "Connection", "Faults"
OUTPUT = "Output"


def option(
    text: str, *names: str, value: str = "", panel: str | None = None, **settings: Any
) -> Any:
    """Return an option with `text` as its help; `value` names its value, if it takes one."""
    return typer.Option(*names, metavar=value, help=text, rich_help_panel=panel, **settings)


ReconnectTime = Annotated[
    float, option("Time without a connection before giving up.", value="SECONDS", panel=LIMITS)
]
RECONNECT_TIME = 300.0


def request_option(
    member_name: str,
    *short: str,
    more: tuple[str, ...] = (),
    text: str = "",
    panel: str = RESULTS,
) -> Any:
    """Return the option for a member of the request, with its help and limits from `MEMBERS`.

    Args:
        member_name: the member. `cli.errors.OPTIONS` has the name of the option.
        short: short names of the option.
        more: values that the command accepts besides those of the service.
        text: text to append to the help.
        panel: the panel in the help.
    """
    (member,) = (one for one in MEMBERS if one.name == member_name)
    values = "|".join(map(str, (*member.choices, *more)))
    values = values or f"{member.minimum}-{member.maximum}"
    default = "" if member.default is None else f" Default: {member.default}."
    names = (OPTIONS[member_name], *short)
    return option(member.description + text + default, *names, value=values, panel=panel)


def default_of(function: Callable[..., Any], parameter: str) -> Any:
    """Return the default value of a parameter."""
    return inspect.signature(function).parameters[parameter].default


def _refuse_key(value: str | None) -> None:
    if value is not None:
        raise typer.BadParameter(
            "a key on the command line is visible to other users and kept in the shell's history; "
            "set the environment variable RUNWARE_API_KEY instead"
        )


@dataclass(frozen=True, kw_only=True)
class ConnectionArguments:
    """The options of every command that connects."""

    url: Annotated[
        str | None,
        option(
            "WebSocket URL to connect to. Default: RUNWARE_URL, or else the Runware service.",
            value="URL",
            panel=CONNECTION,
        ),
    ] = None
    emulator: Annotated[
        bool,
        option(
            "Start an emulator and connect to it: no key, no cost, no network. It resamples with "
            "Lanczos instead of running the model.",
            "--emulator",
            panel=CONNECTION,
        ),
    ] = False
    allow_insecure: Annotated[
        bool,
        option(
            "Allow ws:// to another machine. The key is then sent unencrypted.",
            "--allow-insecure",
            panel=CONNECTION,
        ),
    ] = False
    api_key: Annotated[
        str | None, typer.Option("--api-key", "--key", hidden=True, callback=_refuse_key)
    ] = None  # always: the option exists only to be refused with a reason


def as_command(run: Callable[..., Coroutine[Any, Any, int]]) -> Callable[..., None]:
    """Return a typer command that calls `run` and exits with the status that it returns.

    Each parameter of `run` has a dataclass as its type. The fields of the dataclasses become the
    arguments and options of the command, so that each of them is declared once.
    """
    groups = get_type_hints(run)
    del groups["return"]

    def command(**values: Any) -> None:
        arguments = {
            name: group(**{field.name: values[field.name] for field in fields(group)})
            for name, group in groups.items()
        }
        exit_with(run(**arguments))

    signatures = [inspect.signature(group, eval_str=True) for group in groups.values()]
    parameters = [one for signature in signatures for one in signature.parameters.values()]
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # typer reads it
    command.__name__ = run.__name__
    command.__doc__ = run.__doc__
    return command
