"""Images that are taken out of a frame before it is decoded: the outcome is as without that."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runware_ws.errors import ProtocolError
from runware_ws.protocol.embedded_images import (
    IMAGE_MEMBERS,
    find_images,
    put_back_images,
    take_out_images,
)
from runware_ws.protocol.secret import Secret
from runware_ws.protocol.wire import decode

IMAGE = "/9j/" + "QUJD" * 600_000
KEY = "a-key-of-some-length"
TASK = {"taskType": "upscale", "taskUUID": "u", "cost": 0.1}


def compact(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


@pytest.mark.parametrize("member", sorted(IMAGE_MEMBERS))
def test_images_are_taken_out_and_put_back(member: str) -> None:
    items = [TASK | {member: IMAGE + "A" * n, "after": n} for n in range(3)]
    frame = compact({"data": items})
    small, images = take_out_images(frame, find_images(frame))
    assert len(small) < 1_000
    assert len(images) == 3
    assert decode(frame) == (items, [])


def test_an_image_is_put_back_wherever_it_was() -> None:
    answer = {"response": {"data": [TASK | {"imageBase64Data": IMAGE}]}, "list": [[], ["\0", "x"]]}
    assert decode(compact({"data": [answer]})) == ([answer], [])


@pytest.mark.parametrize(
    "frame",
    [
        compact({"data": [TASK | {"imageBase64Data": IMAGE}]}).replace(b"/9j", b"\\/9j"),
        compact({"data": [TASK | {"imageBase64Data": "Ä" + IMAGE}]}),
        json.dumps({"data": [TASK | {"imageBase64Data": IMAGE}]}, ensure_ascii=False).encode(),
        compact({"data": [TASK | {"imageBase64Data": IMAGE, "text": '"imageBase64Data":"x'}]}),
        compact({"data": [TASK | {"text": IMAGE, "imageBase64Data": ""}]}),
        compact(
            {"data": [{"imageDataURI": "data:image/png;base64," + IMAGE, "imageBase64Data": "\0"}]}
        ),
    ],
)
def test_what_is_unusual_comes_through_as_well(frame: bytes) -> None:
    assert decode(frame)[0] == json.loads(frame)["data"]


@pytest.mark.parametrize("end", [-1, -3, -4, -5, -100_000])
def test_a_frame_that_is_cut_off_is_an_error(end: int) -> None:
    with pytest.raises(ProtocolError):
        decode(compact({"data": [TASK | {"imageBase64Data": IMAGE}]})[:end])


def test_the_key_is_hidden_beside_an_image() -> None:
    frame = compact({"data": [TASK | {"imageBase64Data": IMAGE, "note": f"for {KEY}"}]})
    items, _ = decode(frame, Secret(KEY))
    assert items == [TASK | {"imageBase64Data": IMAGE, "note": "for (the key)"}]


_names = st.sampled_from([*sorted(IMAGE_MEMBERS), "x", 'a"b', "\0"])
_texts = st.sampled_from(["", "\0000", "AAAA", '"imageDataURI":"', '\\"', "é", "\\"]) | st.text()
_values = st.recursive(
    _texts | st.integers(0, 9) | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_names, inner, max_size=4),
    max_leaves=12,
)


@given(_values, st.booleans())
def test_whatever_a_frame_holds_it_is_the_same_afterwards(value: Any, is_ascii: bool) -> None:
    frame = json.dumps(value, separators=(",", ":"), ensure_ascii=is_ascii).encode(errors="replace")
    small, images = take_out_images(frame, find_images(frame))
    root = json.loads(small)
    put_back_images(root, images)
    if not any(text in frame for text in (b"\\u0000", b"\0")):  # see `_PLACE`
        assert root == json.loads(frame)
