"""Test official clients, unmodified, in processes of their own, against the emulator.

Where one fails for a fault of its own the test says so, and expects exactly that. They are
installed at the first run; see `tests.official.environments` for their newest versions.
"""

from __future__ import annotations

import base64
from collections import Counter
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from runware_ws.emulator import Emulator, Relay
from runware_ws.emulator.faults import Drop, Lose
from tests.emulator.bench import upscale
from tests.emulator.sockets import PIXELS, get, post, until
from tests.official.peer import Failure, Peer

pytestmark = [
    pytest.mark.official,
    pytest.mark.timeout(60, func_only=True),  # the fixtures of the first run install them
]


def connect(peer: Peer, emulator: Emulator) -> None:
    peer.call("connect", url=emulator.url, key=emulator.api_key)


def link_to_image(emulator: Emulator) -> str:
    """The address of a picture."""
    link: str = post(emulator, upscale(PIXELS)).json()["data"][0]["imageURL"]
    return link


def seen(emulator: Emulator, member: str) -> dict[str, Any]:
    """The last task that had this member."""
    return next(dict(one.task) for one in reversed(emulator.requests) if member in one.task)


def count_of(emulator: Emulator, kind: str) -> int:
    """Return how many tasks of this kind came in."""
    return sum(one.task.get("taskType") == kind for one in emulator.requests)


def check_result(item: dict[str, Any]) -> None:
    assert UUID(item["taskUUID"]).version == UUID(item["imageUUID"]).version == 4
    assert item["taskType"] == "imageUpscale"
    assert get(item["imageURL"]).headers["content-type"].startswith("image/")


# What works


@pytest.mark.parametrize("delivery", ["sync", "async"])
def test_an_image_is_upscaled_by_its_address(peer: Peer, emulator: Emulator, delivery: str) -> None:
    connect(peer, emulator)
    link = link_to_image(emulator)
    check_result(peer.call("upscale", image=link, deliveryMethod=delivery, upscaleFactor=4))
    task = seen(emulator, "upscaleFactor")
    assert task["inputs"] == {"image": link}
    assert (task["upscaleFactor"], task["deliveryMethod"]) == (4, delivery)


def test_a_file_is_upscaled(peer: Peer, emulator: Emulator, photo: Path) -> None:
    connect(peer, emulator)
    check_result(peer.call("upscale_file", path=str(photo), deliveryMethod="sync"))


def test_a_result_may_come_inline(peer: Peer, emulator: Emulator) -> None:
    connect(peer, emulator)
    members = {"outputType": "base64Data", "outputFormat": "WEBP", "includeCost": True}
    item = peer.call("upscale", image=PIXELS, deliveryMethod="sync", **members)
    assert base64.b64decode(item["imageBase64Data"])[8:12] == b"WEBP"
    assert item["cost"] == 0.0013


def test_an_uploaded_image_is_upscaled_by_its_uuid(
    peer: Peer, emulator: Emulator, photo: Path
) -> None:
    connect(peer, emulator)
    image = peer.call("upload", path=str(photo))["imageUUID"]
    check_result(peer.call("upscale", image=image, deliveryMethod="sync"))
    assert seen(emulator, "inputs")["inputs"] == {"image": image}


def test_a_wrong_key_is_refused(peer: Peer, name: str, emulator: Emulator) -> None:
    with pytest.raises(Failure, match="Invalid API key") as caught:
        peer.call("connect", url=emulator.url, key="wrong")
    told = {"runware-sdk": "auth", "runware": None, "@runware/sdk-js": "invalidApiKey"}
    assert caught.value.code == told[name]


@pytest.mark.parametrize("delivery", ["sync", "async"])
def test_a_wrong_parameter_is_refused(
    peer: Peer, name: str, emulator: Emulator, delivery: str
) -> None:
    connect(peer, emulator)
    with pytest.raises(Failure, match="upscaleFactor: 3 is not allowed") as caught:
        peer.call("upscale", image=PIXELS, upscaleFactor=3, deliveryMethod=delivery)
    code = "validation" if name == "runware-sdk" else "unsupportedUpscaleFactor"
    assert caught.value.code == code


def test_a_connection_that_dropped_is_made_again(
    relay: Relay, peer: Peer, emulator: Emulator
) -> None:
    """By itself; what is begun before it has noticed, one of them gives up."""
    peer.call("connect", url=relay.url, key=emulator.api_key)
    before = count_of(emulator, "authentication")
    relay.cut(reset=True)
    until(lambda: count_of(emulator, "authentication") > before)
    peer.call("wait_until_connected")
    check_result(peer.call("upscale", image=PIXELS, deliveryMethod="sync"))


def test_an_async_task_outlives_the_drop_and_is_run_once(peer: Peer) -> None:
    """The line drops with the first question: by then the client has the acknowledgment."""
    question = {"taskType": "getResponse"}
    drop = Drop(of="question", match=question, nth=1, how="reset")
    with Emulator(faults=[Lose(of="result"), drop]) as emulator:
        connect(peer, emulator)
        item = peer.call("upscale", image=PIXELS, deliveryMethod="async")
        check_result(item)
        assert emulator.executions == Counter([item["taskUUID"]])


# What does not, by a fault of the client


def test_a_sync_task_does_not_outlive_the_drop(peer: Peer, name: str) -> None:
    """Nobody takes the result that is kept: one fails, the others run (and pay) once more."""
    with Emulator(faults=[Drop(nth=1, how="reset")]) as emulator:
        connect(peer, emulator)
        if name == "runware-sdk":
            with pytest.raises(Failure, match="Connection lost before the response") as caught:
                peer.call("upscale", image=PIXELS, deliveryMethod="sync")
            assert caught.value.code == "connection"
        else:
            check_result(peer.call("upscale", image=PIXELS, deliveryMethod="sync"))
        ran = sorted(emulator.executions.values())
        assert ran == ([1] if name == "runware-sdk" else [1, 1])


def test_the_documented_answer_to_an_upload_is_seen_by_one_client_only(
    peer: Peer, name: str, documented: Emulator, photo: Path
) -> None:
    """`data` is an object there, and those in Python look into lists only."""
    connect(peer, documented)
    if name == "@runware/sdk-js":
        assert UUID(peer.call("upload", path=str(photo))["imageUUID"]).version == 4
        return
    with pytest.raises(Failure, match=r"(?i)timed out|timeout"):
        peer.call("upload", path=str(photo))


def test_a_result_over_a_mebibyte_is_lost_by_the_client_with_the_default_limit(
    peer: Peer, name: str
) -> None:
    arguments = {"image": PIXELS, "outputType": "base64Data", "deliveryMethod": "sync"}
    with Emulator(upscaler=lambda *_: bytes(1024 * 1024)) as emulator:
        connect(peer, emulator)
        if name == "runware-sdk":
            with pytest.raises(Failure, match="Connection lost before the response"):
                peer.call("upscale", **arguments)
        else:
            item = peer.call("upscale", **arguments)
            assert base64.b64decode(item["imageBase64Data"]) == bytes(1024 * 1024)


def test_the_older_form_is_taken_under_its_own_task_type_only(
    peer: Peer, name: str, emulator: Emulator
) -> None:
    """Two clients can name the task `imageUpscale`; the third puts the older member into the newer
    task, where the service's document has no room for it.
    """
    connect(peer, emulator)
    if name == "@runware/sdk-js":
        with pytest.raises(Failure, match="'inputImage' is not supported") as caught:
            peer.call("upscale", image=PIXELS, deliveryMethod="sync", older=True)
        assert caught.value.code == "unknownParameter"
    else:
        check_result(peer.call("upscale", image=PIXELS, deliveryMethod="sync", older=True))
        assert seen(emulator, "inputImage")["taskType"] == "imageUpscale"
