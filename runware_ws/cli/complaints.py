"""What went wrong, in the words of somebody who types commands."""

from __future__ import annotations

from ..errors import AuthenticationError, InputError

__all__ = ["InterruptedByUser", "UsageError", "explain", "in_one_line"]

_NO_KEY = """\
no API key: {problem}.
  Make one at https://my.runware.ai/keys, then
      export RUNWARE_API_KEY=…
  There is no option for it: a command line is seen by others and kept in the shell's history.
  To try it without a key, add --emulator."""
_REFUSED = """\
the service refused the API key: {error}
  See https://my.runware.ai/keys, and what RUNWARE_API_KEY is set to."""
# The client's arguments that have another name here.
_OPTIONS = {
    "upscale_factor": "--factor",
    "output_format": "--format",
    "output_quality": "--quality",
    "delivery_method": "--delivery",
    "url": "--url (or RUNWARE_URL)",
}
# What the client advises, in the command's own terms.
_ADVICE = {
    "allow_insecure=True": "--allow-insecure",
    ", or None for no limit": "",
}


class UsageError(Exception):
    """The command cannot be carried out as it was given."""


class InterruptedByUser(Exception):  # noqa: N818  # not an error: somebody wanted it
    """An image was under way when Ctrl-C was pressed.

    Args:
        lasting: whether the next run goes on with it.
    """

    def __init__(self, lasting: bool = False) -> None:
        super().__init__(lasting)
        self.lasting = lasting

    def __str__(self) -> str:
        if self.lasting:
            return "interrupted; the same command goes on with it"
        return "given up on Ctrl-C; the service may still finish and bill it"


def explain(error: Exception) -> str:
    """The text for an error that ends the command."""
    if isinstance(error, AuthenticationError):
        return _REFUSED.format(error=error)
    if isinstance(error, InputError):
        if error.parameter == "api_key":
            return _NO_KEY.format(problem=f"RUNWARE_API_KEY {error.problem}")
        option = _OPTIONS.get(error.parameter, "--" + error.parameter.replace("_", "-"))
        remedy = error.remedy
        for words, ours in _ADVICE.items():
            remedy = remedy.replace(words, ours)
        return f"{option}: {error.problem}; {remedy}"
    return str(error)


def in_one_line(text: object) -> str:
    """A file name, or a server's words, so that it can neither break the line nor the terminal."""
    return "".join(
        character if character.isprintable() else ascii(character)[1:-1]
        for character in " ".join(str(text).splitlines())
    )
