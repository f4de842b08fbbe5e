"""The file of a profile, and the client that reads it."""

from __future__ import annotations

import json
import logging
import stat
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from runware_ws import InputError, RunwareClient
from runware_ws.doctor.findings import Findings
from runware_ws.doctor.profile import (
    Profile,
    ProfileError,
    default_path,
    new_profile,
    read,
    update_profile,
    write,
)
from runware_ws.protocol.secret import Secret
from runware_ws.settings import Settings
from tests.support.clients import IMAGE, KEY, served

URL = "wss://example.com/v1"
NOW = datetime.now(UTC)
REPLAY = Findings(replay="none")
unix = pytest.mark.skipif(sys.platform == "win32", reason="has other permissions")
linux = pytest.mark.skipif(sys.platform != "linux", reason="has another state folder")


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state folder and a home of the test's own."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    for name in ("HOME", "USERPROFILE", "LOCALAPPDATA"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    return tmp_path


def settings_of(**options: Any) -> Settings:
    return RunwareClient(KEY, url=URL, **options)._settings


def kept(findings: Findings = REPLAY, when: datetime = NOW) -> Path:
    """The path of a profile where the client looks for it."""
    profile = new_profile(URL, Secret(KEY))
    path = default_path(profile)
    write(profile.updated(findings, when), path)
    return path


def knows_replay(settings: Settings) -> bool:
    return settings.timing.replay_quiet == 0.0


# The file


def test_a_profile_is_read_as_it_was_written(tmp_path: Path) -> None:
    findings = Findings(replay="after", dry_run=True, tasks_per_frame=20, lateness=1.25)
    profile = new_profile(URL, Secret(KEY)).updated(findings, NOW.replace(microsecond=0))
    write(profile, tmp_path / "new folder" / "profile.json")
    again = read(tmp_path / "new folder" / "profile.json")
    assert again == profile
    assert again.findings(NOW) == findings


@unix
def test_only_its_owner_can_read_it_and_nothing_else_is_left(state: Path) -> None:
    path = kept()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [one.name for one in path.parent.iterdir()] == [path.name]


def test_the_key_is_not_in_it_nor_in_its_name() -> None:
    path = kept()
    assert KEY not in path.read_text()
    assert KEY not in str(path)


def test_each_host_and_key_has_its_own() -> None:
    pairs = [(URL, KEY), (URL, "another"), ("wss://example.org/v1", KEY)]
    pairs.append(("wss://example.com:444/v1", KEY))
    assert len({default_path(new_profile(url, Secret(key))) for url, key in pairs}) == 4
    path = default_path(new_profile("wss://me:secret@[::1]:8765/v1?token=secret", Secret(KEY)))
    assert "secret" not in path.name
    assert "/" not in path.name
    assert ":" not in path.name


@linux
def test_it_lies_in_the_state_folder(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert kept().parent == state / "state" / "runware_ws"
    monkeypatch.setenv("XDG_STATE_HOME", "relative")  # which the standard says to ignore
    assert kept().parent == state / "home" / ".local" / "state" / "runware_ws"


@pytest.mark.parametrize(
    ("platform", "folder"),
    [("darwin", "home/Library/Application Support/runware_ws"), ("win32", "home/runware_ws")],
)
def test_other_systems_have_other_folders(
    state: Path, monkeypatch: pytest.MonkeyPatch, platform: str, folder: str
) -> None:
    monkeypatch.setattr("sys.platform", platform)
    assert default_path(new_profile(URL, Secret(KEY))).parent == state / folder


def test_what_is_found_out_later_is_added_and_the_rest_stays() -> None:
    key = Secret(KEY)
    update_profile(Findings(replay="none", dry_run=False), URL, key)
    findings, path = update_profile(Findings(dry_run=True, tasks_per_frame=2), URL, key)
    assert findings == Findings(replay="none", dry_run=True, tasks_per_frame=2)
    assert read(path).findings(NOW) == findings


def test_what_is_older_than_a_month_is_not_relied_on() -> None:
    profile = Profile("example.com", "0").updated(REPLAY, NOW - timedelta(days=31))
    profile = profile.updated(Findings(dry_run=True), NOW - timedelta(days=29))
    assert profile.findings(NOW) == Findings(dry_run=True)


BROKEN = {
    "not JSON": "{",
    "another value": "[]",
    "another version": '{"version": 2, "findings": {}}',
    "no findings": '{"version": 1}',
    "an unknown finding": '{"version": 1, "findings": {"weather": {"value": 1, "found": "T"}}}',
    "a wrong value": '{"version": 1, "findings": {"replay": {"value": "later", "found": "T"}}}',
    "a wrong type": '{"version": 1, "findings": {"dry_run": {"value": 1, "found": "T"}}}',
    "a negative number": '{"version": 1, "findings": {"lateness": {"value": -1, "found": "T"}}}',
    "no date": '{"version": 1, "findings": {"replay": {"value": "none"}}}',
    "a wrong date": '{"version": 1, "findings": {"replay": {"value": "none", "found": "May"}}}',
    "no object": '{"version": 1, "findings": {"replay": "none"}}',
}


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN)
def test_what_is_no_profile_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "profile.json"
    path.write_text(content.replace('"T"', json.dumps(NOW.isoformat())))
    with pytest.raises(ProfileError):
        read(path)


# The client


def test_the_client_reads_the_profile_of_its_host_and_key() -> None:
    assert not knows_replay(settings_of())
    kept()
    assert knows_replay(settings_of())
    assert not knows_replay(settings_of(profile=None))
    other = RunwareClient("another key", url=URL)
    assert not knows_replay(other._settings)


def test_the_client_reads_the_profile_of_a_path(tmp_path: Path) -> None:
    path = tmp_path / "profile.json"
    write(Profile("any", "0").updated(REPLAY, NOW), path)
    assert knows_replay(settings_of(profile=path))
    assert knows_replay(settings_of(profile=str(path)))


def test_an_argument_comes_before_the_profile() -> None:
    kept(Findings(tasks_per_frame=20, tasks_refused=100))
    assert settings_of().max_tasks_per_frame == 20
    assert settings_of(max_tasks_per_frame=30).max_tasks_per_frame == 30


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN)
def test_a_profile_that_cannot_be_used_is_ignored_and_logged(
    content: str, caplog: pytest.LogCaptureFixture
) -> None:
    kept().write_text(content)
    assert not knows_replay(settings_of())
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "the profile of the service is ignored: " in record.getMessage()
    assert "runware-ws doctor" in record.getMessage()


def test_an_old_profile_is_ignored_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    kept(when=NOW - timedelta(days=31))
    assert not knows_replay(settings_of())
    (record,) = caplog.records
    assert "older than 30 days" in record.getMessage()


@pytest.mark.parametrize("content", [None, *BROKEN.values()])
def test_a_path_that_is_given_must_be_that_of_a_profile(
    tmp_path: Path, content: str | None
) -> None:
    path = tmp_path / "profile.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(InputError) as caught:
        settings_of(profile=path)
    assert caught.value.parameter == "profile"
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("profile", ["", b"profile.json", 3, True])
def test_what_can_be_no_path_is_refused(profile: Any) -> None:
    with pytest.raises(InputError, match="profile: is "):
        settings_of(profile=profile)


@pytest.mark.anyio
async def test_an_image_that_the_service_is_known_to_refuse_is_not_sent(tmp_path: Path) -> None:
    path = tmp_path / "profile.json"
    findings = Findings(input_bytes=100_000, input_refused_bytes=400_000)
    write(Profile("any", "0").updated(findings, NOW), path)
    async with served(profile=path) as (server, client):
        for image in (bytes(300_000), (tmp_path / "large")):
            if isinstance(image, Path):
                image.write_bytes(bytes(300_000))
            with pytest.raises(InputError, match="400000"):
                await client.upscale(image)
        assert not server.tasks
        assert (await client.upscale(bytes(200_000))).image_uuid
        assert (await client.upscale(IMAGE)).image_uuid
        assert client.stats().tasks == {}
