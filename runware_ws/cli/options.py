"""The options of the command. What they may be stands in the table of the request's members,
and in the client; here are only their names and their order."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Annotated, Any

import typer

from ..client import RunwareClient
from ..emulator import ServiceSettings
from ..protocol.request import member_named

__all__ = [
    "COST",
    "MAX_IN_FLIGHT",
    "MAX_RETRIES",
    "TIMEOUT",
    "AllowInsecure",
    "ApiKey",
    "AsJson",
    "Cost",
    "Count",
    "Credit",
    "Delivery",
    "EmulatorKey",
    "Factor",
    "FaultLines",
    "Faults",
    "Format",
    "Host",
    "Images",
    "Interval",
    "Journal",
    "Latency",
    "MaxInFlight",
    "MaxReconnectTime",
    "MaxRetries",
    "Out",
    "Port",
    "Quality",
    "Recursive",
    "Seed",
    "Timeout",
    "UploadArray",
    "Url",
    "UseEmulator",
    "Workers",
]

_RESULT, _LIMITS, _CONNECTION = "What comes out", "Limits", "Connection"
_FAULTS = "What goes wrong"


def _member_help(wire: str) -> str:
    """The help for an option that becomes a member of the request."""
    member = member_named(wire)
    assert member is not None  # noqa: S101  # a name in this file
    if member.default is None:
        return member.description
    return f"{member.description} The service's default: {member.default}."


def _member_values(wire: str) -> str:
    """What such an option may be."""
    member = member_named(wire)
    assert member is not None  # noqa: S101  # a name in this file
    if member.choices:
        return "|".join(map(str, member.choices))
    return f"{member.minimum}-{member.maximum}"


def _default(name: str) -> Any:
    """The client's own default of one of its arguments."""
    return inspect.signature(RunwareClient).parameters[name].default


def _refuse_key(value: str | None) -> None:
    if value is not None:
        raise typer.BadParameter(
            "a key on the command line is seen by others and kept in the shell's history; "
            "set the environment variable RUNWARE_API_KEY instead"
        )


# The client's own defaults.
MAX_IN_FLIGHT: int = _default("max_in_flight")
MAX_RETRIES: int = _default("max_retries")
TIMEOUT: float = _default("timeout")
# The emulator's.
COST: float = inspect.signature(ServiceSettings).parameters["cost"].default

Images = Annotated[
    list[str],
    typer.Argument(
        metavar="IMAGES",
        help="Image files, folders, and URLs. A folder stands for the JPG, PNG and WEBP files in "
        "it, sorted by name; hidden ones are left alone, and without --recursive so are folders "
        "in it.",
        show_default=False,
    ),
]
Out = Annotated[
    str,
    typer.Option(
        "--out",
        "-o",
        metavar="DIR",
        help="Folder for the results, made if missing. photo.png becomes photo.jpg there; a "
        "second photo becomes photo-2.jpg; files of an earlier run are replaced.",
        rich_help_panel=_RESULT,
    ),
]
Recursive = Annotated[
    bool,
    typer.Option(
        "--recursive", "-r", metavar="", help="Look into folders in folders; --out mirrors them."
    ),
]
Factor = Annotated[
    int,
    typer.Option(
        "--factor",
        "-f",
        metavar=_member_values("upscaleFactor"),
        help=_member_help("upscaleFactor"),
        rich_help_panel=_RESULT,
    ),
]
Format = Annotated[
    str | None,
    typer.Option(
        metavar=_member_values("outputFormat"),
        help=_member_help("outputFormat"),
        show_default=False,
        rich_help_panel=_RESULT,
    ),
]
Quality = Annotated[
    int | None,
    typer.Option(
        metavar=_member_values("outputQuality"),
        help=_member_help("outputQuality"),
        show_default=False,
        rich_help_panel=_RESULT,
    ),
]
AsJson = Annotated[
    bool,
    typer.Option(
        "--json",
        metavar="",
        help="One JSON object per image on stdout: source, output, task_uuid, cost, attempts, "
        "seconds, error.",
        rich_help_panel=_RESULT,
    ),
]
MaxInFlight = Annotated[
    int,
    typer.Option(
        metavar="NUMBER",
        help="How many images are under way at once.",
        rich_help_panel=_LIMITS,
    ),
]
MaxRetries = Annotated[
    int,
    typer.Option(
        metavar="NUMBER",
        help="How often an image is tried again after a failure that may pass.",
        rich_help_panel=_LIMITS,
    ),
]
Timeout = Annotated[
    float,
    typer.Option(
        metavar="SECONDS",
        help="How long one image may take.",
        rich_help_panel=_LIMITS,
    ),
]
MaxReconnectTime = Annotated[
    float,
    typer.Option(
        metavar="SECONDS",
        help="How long to try when the connection is lost under way.",
        rich_help_panel=_LIMITS,
    ),
]
Journal = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="A file that makes the command one that may be killed: with the same arguments it "
        "goes on where it was. Images whose result is in --out already are left out. Made if "
        "missing; it may hold images and links, so only its owner can read it.",
        show_default=False,
        rich_help_panel=_CONNECTION,
    ),
]
Delivery = Annotated[
    str | None,
    typer.Option(
        metavar=_member_values("deliveryMethod"),
        help=_member_help("deliveryMethod"),
        show_default=False,
        rich_help_panel=_CONNECTION,
    ),
]
Url = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        help="Where to connect. Default: RUNWARE_URL, or else the service.",
        show_default=False,
        rich_help_panel=_CONNECTION,
    ),
]
UseEmulator = Annotated[
    bool,
    typer.Option(
        "--emulator",
        metavar="",
        help="Start an emulator and use it: no key, no cost, no network. Lanczos stands in for "
        "the model.",
        rich_help_panel=_CONNECTION,
    ),
]
AllowInsecure = Annotated[
    bool,
    typer.Option(
        "--allow-insecure",
        metavar="",
        help="Allow ws:// to another machine: the key travels unencrypted.",
        rich_help_panel=_CONNECTION,
    ),
]
ApiKey = Annotated[
    str | None,
    typer.Option("--api-key", "--key", hidden=True, callback=_refuse_key, expose_value=False),
]
Count = Annotated[int, typer.Option(metavar="NUMBER", min=1, help="How many pings.")]
Interval = Annotated[
    float, typer.Option(metavar="SECONDS", min=0, help="How long to wait between two.")
]
Host = Annotated[str, typer.Option(metavar="ADDRESS", help="The address to listen on.")]
Port = Annotated[
    int,
    typer.Option(
        metavar="NUMBER", min=0, max=65535, help="The port to listen on; 0 takes a free one."
    ),
]
EmulatorKey = Annotated[
    str | None,
    typer.Option(
        metavar="TEXT",
        help="The key to accept, a made-up one. Default: a random one.",
        show_default=False,
    ),
]
Latency = Annotated[
    float,
    typer.Option(
        metavar="SECONDS", min=0, help="How much longer each image takes, as if a model worked."
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(
        metavar="NUMBER",
        min=1,
        help="How many images are worked on at once. Default: one per processor.",
        show_default=False,
    ),
]
Cost = Annotated[
    float, typer.Option(metavar="DOLLARS", min=0, help="What an image is said to cost.")
]
Credit = Annotated[
    float | None,
    typer.Option(
        metavar="DOLLARS",
        min=0,
        help="What the account holds. Default: it never runs out.",
        show_default=False,
    ),
]
UploadArray = Annotated[
    bool,
    typer.Option(
        "--upload-array",
        metavar="",
        help="Answer an upload on a WebSocket with an array of one, which is all that the official "
        "clients in Python understand; by default with an object, as documented.",
    ),
]
Faults = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="A script of what is to go wrong, TOML or JSON; see runware_ws.emulator.faults.",
        show_default=False,
        rich_help_panel=_FAULTS,
    ),
]
FaultLines = Annotated[
    list[str] | None,
    typer.Option(
        "--fault",
        metavar="'KIND NAME=VALUE…'",
        help="One thing that is to go wrong, such as 'drop every=10 how=reset', "
        "'fail nth=3 code=timeout' or 'lose probability=0.05'. May be given several times.",
        show_default=False,
        rich_help_panel=_FAULTS,
    ),
]
Seed = Annotated[
    int | None,
    typer.Option(
        metavar="NUMBER",
        help="For the faults that are left to chance. Default: that of the script, or a random "
        "one, which is shown.",
        show_default=False,
        rich_help_panel=_FAULTS,
    ),
]
