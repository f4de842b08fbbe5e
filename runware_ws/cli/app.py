"""The application ``runware-ws``: its commands and its global options."""

from __future__ import annotations

import inspect
import shutil
from collections.abc import Callable
from typing import Annotated

import typer

from .._version import __version__
from .emulate import emulate
from .options import as_command, option
from .ping import ping
from .upscale import upscale

# In a narrow terminal, the tables of rich would cut off the names of the options.
_USE_RICH = shutil.get_terminal_size().columns >= 60

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
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


def main(
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
      runware-ws emulate
    """


app.callback(help=_help(main))(main)
for command in (upscale, emulate, ping):
    app.command(help=_help(command))(as_command(command))
