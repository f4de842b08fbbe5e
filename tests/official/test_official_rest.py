"""Test the official client that also speaks REST, unmodified, against the emulator's twin."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from runware_ws.emulator import Emulator
from runware_ws.emulator.faults import Status
from tests.emulator.sockets import PIXELS, get
from tests.official.peer import Failure, Peer

pytestmark = [
    pytest.mark.official,
    pytest.mark.timeout(60, func_only=True),  # the fixtures of the first run install it
    pytest.mark.parametrize("process", ["runware-sdk"], indirect=True),
]


def connect(peer: Peer, emulator: Emulator, key: str | None = None) -> None:
    peer.call("connect_by_rest", url=f"{emulator.http_url}/v1", key=key or emulator.api_key)


def check_result(item: dict[str, Any]) -> None:
    assert UUID(item["taskUUID"]).version == UUID(item["imageUUID"]).version == 4
    assert get(item["imageURL"]).headers["content-type"].startswith("image/")


@pytest.mark.parametrize("delivery", ["sync", "async"])
def test_an_image_is_upscaled(peer: Peer, emulator: Emulator, delivery: str) -> None:
    connect(peer, emulator)
    check_result(peer.call("upscale", image=PIXELS, deliveryMethod=delivery))


def test_an_upload_is_upscaled_by_its_uuid(peer: Peer, emulator: Emulator, photo: Path) -> None:
    connect(peer, emulator)
    image = peer.call("upload", path=str(photo))["imageUUID"]
    check_result(peer.call("upscale", image=image, deliveryMethod="sync"))


def test_a_wrong_key_and_a_wrong_parameter_are_refused(peer: Peer, emulator: Emulator) -> None:
    connect(peer, emulator, "wrong")
    with pytest.raises(Failure, match="Invalid API key") as caught:
        peer.call("upscale", image=PIXELS)
    assert caught.value.code == "auth"
    connect(peer, emulator)
    with pytest.raises(Failure, match="upscaleFactor: 3 is not allowed") as caught:
        peer.call("upscale", image=PIXELS, upscaleFactor=3)
    assert caught.value.code == "validation"


@pytest.mark.parametrize("status", [429, 500, 503])
def test_what_passes_is_tried_again(peer: Peer, status: int) -> None:
    with Emulator(faults=[Status(status=status, nth=1)]) as emulator:
        connect(peer, emulator)
        check_result(peer.call("upscale", image=PIXELS, deliveryMethod="sync"))
        assert emulator.faults_struck == {"status": 1}


@pytest.mark.parametrize(("status", "code"), [(402, "quota"), (403, "auth")])
def test_what_does_not_pass_is_told(peer: Peer, status: int, code: str) -> None:
    with Emulator(faults=[Status(status=status)]) as emulator:
        connect(peer, emulator)
        with pytest.raises(Failure) as caught:
            peer.call("upscale", image=PIXELS, deliveryMethod="sync")
        assert (caught.value.code, emulator.faults_struck["status"]) == (code, 1)
