"""The profile of a service: a file with the findings about it, and their dates.

There is one for each host and key, in the user's state folder. It contains only the beginning of a
hash of the key.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ..errors import InputError, ProtocolError
from ..protocol.secret import Secret
from ..protocol.wire import decode_item, encode_item
from ..runtime.files import write_atomically
from ..settings import Settings
from .adjustments import changed
from .findings import Findings, is_allowed

VERSION = 1
MAX_AGE = timedelta(days=30)
_MAX_BYTES = 1024 * 1024
_log = logging.getLogger("runware_ws")


class ProfileError(Exception):
    """A file is not a usable profile."""


@dataclass(frozen=True, slots=True)
class Profile:
    """All findings about a service, with their times.

    Attributes:
        host: the host, with the port if the URL names one.
        key_hash: the beginning of a hash of the key and the host.
        found: the value and the time of each finding, by name.
    """

    host: str
    key_hash: str
    found: Mapping[str, tuple[Any, datetime]] = field(default_factory=dict)

    def findings(self, now: datetime) -> Findings:
        """Return the findings that are not too old to rely on."""
        fresh = {name: one for name, (one, when) in self.found.items() if now - when <= MAX_AGE}
        return Findings(**fresh)

    def updated(self, findings: Findings, now: datetime) -> Profile:
        """Return a profile with new findings. Other findings stay as they are."""
        new = {name: (value, now) for name, value in findings.known().items()}
        return Profile(self.host, self.key_hash, {**self.found, **new})


def new_profile(url: str, key: Secret) -> Profile:
    """Return an empty profile for a service and a key."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2].lower()
    digest = hashlib.sha256(f"{host}\n{key.reveal()}".encode()).hexdigest()
    return Profile(host, digest[:16])


def default_path(profile: Profile) -> Path:
    """Return the path of a profile in the user's state folder."""
    host = re.sub(r"[^a-z0-9.-]+", "_", profile.host)
    return _state_folder() / f"{host[:100]}-{profile.key_hash}.json"


def _state_folder() -> Path:
    home = Path.home()
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local") / "runware_ws"
    if sys.platform == "darwin":
        return home / "Library" / "Application Support" / "runware_ws"
    state = os.environ.get("XDG_STATE_HOME", "")
    folder = Path(state) if state.startswith("/") else home / ".local" / "state"
    return folder / "runware_ws"


def read(path: Path) -> Profile:
    """Read a profile.

    Raises:
        ProfileError: it cannot be read, or is not a profile of this version.
    """
    try:
        with path.open("rb") as file:
            record = decode_item(file.read(_MAX_BYTES))
    except OSError as error:
        raise ProfileError(error.strerror or str(error)) from None
    except ProtocolError:
        raise ProfileError("it is not JSON") from None
    if record.get("version") != VERSION:
        raise ProfileError(f"it is not of version {VERSION}")
    findings = record.get("findings")
    if not isinstance(findings, dict):
        raise ProfileError("it has no findings")
    found = {name: _finding(name, entry) for name, entry in findings.items()}
    return Profile(str(record.get("host")), str(record.get("key")), found)


def _finding(name: str, entry: Any) -> tuple[Any, datetime]:
    with suppress(TypeError, KeyError, ValueError):
        when = datetime.fromisoformat(entry["found"])
        if is_allowed(name, entry["value"]) and when.tzinfo is not None:
            return entry["value"], when
    raise ProfileError(f"its finding {name[:40]!r} is not valid")


def write(profile: Profile, path: Path) -> None:
    """Write a profile atomically. Only its owner can read it.

    Raises:
        OSError: it cannot be written.
    """
    record = {
        "version": VERSION,
        "host": profile.host,
        "key": profile.key_hash,
        "findings": {
            name: {"value": value, "found": when.isoformat(timespec="seconds")}
            for name, (value, when) in profile.found.items()
        },
    }
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_atomically(path, encode_item(record) + b"\n", 0o600)


def update_profile(findings: Findings, url: str, key: Secret) -> tuple[Findings, Path]:
    """Add findings to the profile in the user's state folder.

    Other findings stay as they are.

    Returns:
        All current findings, and the path of the profile.

    Raises:
        OSError: it cannot be written.
    """
    profile = new_profile(url, key)
    path = default_path(profile)
    with suppress(ProfileError):  # an unusable profile is replaced
        profile = read(path)
    now = datetime.now(UTC)
    profile = profile.updated(findings, now)
    write(profile, path)
    return profile.findings(now), path


def with_profile(
    profile: str | os.PathLike[str] | None,
    settings: Settings,
    key: Secret,
    given: Mapping[str, Any],
) -> Settings:
    """Return the settings of a client, adjusted to a profile.

    Args:
        profile: ``auto`` for the profile in the user's state folder, if there is one; the path of a
            profile; or None for no profile.
        settings: the settings before the adjustments.
        key: the API key.
        given: arguments that take precedence over the profile; None stands for no argument.

    Raises:
        InputError: the file of a given path cannot be used, or an argument is not allowed.
    """
    findings = Findings()
    if profile == "auto":
        findings = _load_default(new_profile(settings.url, key))
    elif profile is not None:
        findings = _load(_checked_path(profile))
    return changed(settings, findings, given)


def _load(path: Path) -> Findings:
    try:
        return _usable(read(path), path)
    except ProfileError as error:
        remedy = "pass the path of a profile that `runware-ws doctor` has written"
        raise InputError("profile", f"{str(path)!r} cannot be used: {error}", remedy) from None


def _checked_path(profile: object) -> Path:
    if isinstance(profile, str | os.PathLike) and isinstance(os.fspath(profile), str) and profile:
        return Path(profile)
    raise InputError("profile", f"is {profile!r}", 'pass "auto", the path of a file or None')


def _load_default(profile: Profile) -> Findings:
    try:
        path = default_path(profile)
        return _usable(read(path), path) if path.exists() else Findings()
    except (ProfileError, OSError, RuntimeError) as error:  # there may be no home folder
        _log.warning("the profile of the service is ignored: %s; run `runware-ws doctor`", error)
        return Findings()


def _usable(profile: Profile, path: Path) -> Findings:
    findings = profile.findings(datetime.now(UTC))
    if len(findings.known()) < len(profile.found):
        days = MAX_AGE.days
        _log.warning(
            "findings in %s are older than %d days and ignored; run `runware-ws doctor`", path, days
        )
    return findings
