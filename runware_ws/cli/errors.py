"""Errors of the commands, and their text for the terminal."""

from __future__ import annotations

from ..errors import AuthenticationError, InputError
from ..escaping import escaped

# Arguments of the client, and the options that set them, where these have another name.
OPTIONS = {
    "upscale_factor": "--factor",
    "output_format": "--format",
    "output_quality": "--quality",
    "delivery_method": "--delivery",
    "budget": "--max-cost",
    "image": "IMAGE",
    "output": "--out",
    "task_uuid": "UUIDS",
    "url": "--url (or RUNWARE_URL)",
}
# Remedies of the client, and their equivalents on the command line.
_REMEDIES = {"allow_insecure=True": "--allow-insecure", ", or None for no limit": ""}


class UsageError(Exception):
    """The arguments are wrong, or the command cannot run with them. Nothing was sent."""


class Interrupted(Exception):  # noqa: N818  # the user asked for it, or the disk is full
    """The image was in flight when the run was stopped.

    Args:
        resumable: whether running the same command again finishes the image.
    """

    def __init__(self, resumable: bool) -> None:
        super().__init__(resumable)
        self.resumable = resumable

    def __str__(self) -> str:
        if self.resumable:
            return "interrupted; run the same command again to resume"
        return "interrupted; the service may still finish and bill the task"


def error_message(error: Exception) -> str:
    """Return one line that names the option, the problem and the remedy."""
    if isinstance(error, AuthenticationError):
        return (
            f"the service refused the API key: {error}; "
            "compare RUNWARE_API_KEY with https://my.runware.ai/keys"
        )
    if not isinstance(error, InputError):
        return one_line(error)
    if error.parameter == "api_key":
        return (
            f"RUNWARE_API_KEY {error.problem}; create a key at https://my.runware.ai/keys and run "
            "`export RUNWARE_API_KEY=…`, or add --emulator to try without a key"
        )
    option = OPTIONS.get(error.parameter, "--" + error.parameter.replace("_", "-"))
    remedy = error.remedy
    for text, replacement in _REMEDIES.items():
        remedy = remedy.replace(text, replacement)
    return one_line(f"{option}: {error.problem}; {remedy}")


def one_line(text: object) -> str:
    """Return `text` on one line, with control characters escaped for safety in a terminal."""
    return escaped(" ".join(str(text).splitlines()))
