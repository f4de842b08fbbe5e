"""The application ``runware-ws``: its commands and its global options."""

from __future__ import annotations

import inspect
import shutil
import sys
from collections.abc import Callable
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperCommand, TyperGroup

from .._version import __version__
from .demo import demo
from .doctor import doctor
from .emulate import emulate
from .errors import one_line
from .exit_status import INTERRUPTED, USAGE
from .fetch import fetch
from .large import large
from .options import as_command, option
from .ping import ping
from .upscale import upscale

# In a narrow terminal, the tables of rich would cut off the names of the options.
_USE_RICH = shutil.get_terminal_size().columns >= 60

# The base class of errors about arguments, of which typer exports only this subclass.
_ArgumentError: Any = typer.BadParameter.__base__


def _without_types(parameters: list[Any]) -> list[Any]:
    """Remove the names of Python types from the help of parameters; the metavar is enough."""
    for one in parameters:
        if one.param_type_name == "argument":
            one.display_type_rich = lambda ctx: ""
        elif one.is_flag and one.metavar is None:
            one.metavar = ""
    return parameters


class _Command(TyperCommand):
    def get_params(self, ctx: Any) -> list[Any]:
        return _without_types(super().get_params(ctx))


class _Group(TyperGroup):
    """Report wrong arguments on one line, like every other error."""

    def get_params(self, ctx: Any) -> list[Any]:
        return _without_types(super().get_params(ctx))

    def main(self, *arguments: Any, **settings: Any) -> NoReturn:
        try:
            status = super().main(*arguments, **settings | {"standalone_mode": False})
        except _ArgumentError as error:
            command = error.ctx.command_path if error.ctx else "runware-ws"
            message = one_line(error.format_message()).rstrip(".")
            typer.echo(f"error: {message} (see {command} --help)", err=True)
            status = USAGE
        except typer.Abort:  # Ctrl-C before a command has started
            status = INTERRUPTED
        sys.exit(status)


app = typer.Typer(
    cls=_Group,
    invoke_without_command=True,
    rich_markup_mode="rich" if _USE_RICH else None,
    pretty_exceptions_enable=False,  # a pretty traceback shows local variables
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _help(function: Callable[..., object]) -> str:
    text = inspect.getdoc(function) or ""
    return text.replace("\b\n", "") if _USE_RICH else text


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"runware-ws {__version__}")
        raise typer.Exit


def global_options(
    context: typer.Context,
    version: Annotated[
        bool, option("Show the version.", "--version", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Upscale images with Runware (Real-ESRGAN) over one persistent connection.

    The API key is read from the environment variable RUNWARE_API_KEY. Create one
    at https://my.runware.ai/keys, or try the commands on the built-in emulator.

    \b
    Examples:
      runware-ws upscale photo.jpg --emulator
      runware-ws upscale holiday/ --recursive --factor 2 --out large
      runware-ws demo
    """
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit(USAGE)


app.callback(help=_help(global_options))(global_options)
for command in (upscale, large, fetch, demo, emulate, ping, doctor):
    app.command(cls=_Command, help=_help(command))(as_command(command))
