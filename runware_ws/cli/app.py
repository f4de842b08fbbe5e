"""The commands, and what they are given."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .._version import __version__
from . import options as given
from .connect import Target
from .emulating import emulate_until_stopped, script_from
from .pinging import ping as ping_all
from .running import exit_on_error, exit_with
from .upscaling import Order, options_of, upscale_all

__all__ = ["app"]

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode="rich",
    # A pretty traceback shows local variables, and may be pasted anywhere.
    pretty_exceptions_enable=False,
    pretty_exceptions_show_locals=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"runware-ws {__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_version, is_eager=True, help="Show the version.", metavar=""
        ),
    ] = False,
) -> None:
    """Upscale images with Runware (Real-ESRGAN) over one persistent connection.

    The key is read from the environment variable RUNWARE_API_KEY, never from an option. Make one
    at https://my.runware.ai/keys, or try everything on the built-in emulator.

    [bold]Examples[/]

      runware-ws upscale photo.jpg --emulator
      runware-ws upscale holiday/ --recursive --factor 2 --out large
      runware-ws emulate
    """


@app.command()
def upscale(
    images: given.Images,
    *,
    out: given.Out = "upscaled",
    recursive: given.Recursive = False,
    factor: given.Factor = 4,
    format: given.Format = None,  # noqa: A002  # the option's name
    quality: given.Quality = None,
    as_json: given.AsJson = False,
    max_in_flight: given.MaxInFlight = given.MAX_IN_FLIGHT,
    max_retries: given.MaxRetries = given.MAX_RETRIES,
    timeout: given.Timeout = given.TIMEOUT,
    max_reconnect_time: given.MaxReconnectTime = 300.0,
    journal: given.Journal = None,
    delivery: given.Delivery = None,
    url: given.Url = None,
    emulator: given.UseEmulator = False,
    allow_insecure: given.AllowInsecure = False,
    api_key: given.ApiKey = None,
) -> None:
    """Upscale images.

    [bold]Examples[/]

      runware-ws upscale photo.jpg --out large
      runware-ws upscale holiday/ --recursive --factor 2 --format png
      runware-ws upscale https://example.com/photo.jpg
      runware-ws upscale photos/ --json > results.jsonl
      runware-ws upscale photos/ --journal jobs.db   (may be killed and started again)
      runware-ws upscale photos/ --emulator          (no key, no cost)

    [bold]Exit status[/]

      0  all images are done
      1  some failed, each is named with its reason; or there is no connection
      2  nothing was sent: a wrong argument, no key, a key that was refused, no image found
      130, 143  Ctrl-C, or SIGTERM
    """
    with exit_on_error():
        order = Order(
            images=images,
            out=Path(out),
            recursive=recursive,
            as_json=as_json,
            options=options_of(factor, format, quality, delivery),
            target=Target(
                url=url,
                emulator=emulator,
                settings={
                    "max_in_flight": max_in_flight,
                    "max_retries": max_retries,
                    "timeout": timeout,
                    "max_reconnect_time": max_reconnect_time,
                    "allow_insecure": allow_insecure,
                    "journal": journal,
                },
            ),
        )
        exit_with(upscale_all(order))


@app.command()
def emulate(
    *,
    host: given.Host = "127.0.0.1",
    port: given.Port = 8765,
    key: given.EmulatorKey = None,
    latency: given.Latency = 0.0,
    workers: given.Workers = None,
    cost: given.Cost = given.COST,
    credit: given.Credit = None,
    upload_array: given.UploadArray = False,
    faults: given.Faults = None,
    fault: given.FaultLines = None,
    seed: given.Seed = None,
) -> None:
    """Run a Runware on this machine, for trying, testing and working offline.

    It speaks the protocol of the service and really upscales, though with Lanczos in place of
    the model. It says how to use it, and runs until Ctrl-C.
    """
    with exit_on_error():
        script = script_from(faults, fault or (), seed)
        settings = {
            "api_key": key,
            "latency": latency,
            "workers": workers,
            "cost": cost,
            "credit": credit,
            "upload_data": "array" if upload_array else "object",
        }
        exit_with(emulate_until_stopped(host, port, script, **settings))


@app.command()
def ping(
    *,
    count: given.Count = 4,
    interval: given.Interval = 0.5,
    url: given.Url = None,
    emulator: given.UseEmulator = False,
    allow_insecure: given.AllowInsecure = False,
    api_key: given.ApiKey = None,
) -> None:
    """Check key and connection, and measure how long a message takes to the service and back."""
    with exit_on_error():
        settings = {"allow_insecure": allow_insecure}
        target = Target(url=url, emulator=emulator, settings=settings)
        exit_with(ping_all(target, count, interval))
