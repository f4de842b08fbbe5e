"""The emulator makes no result twice and fetches no file twice at once."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from runware_ws.emulator import Emulator
from runware_ws.emulator.imaging.memo import Memo
from tests.emulator.bench import picture, text_of, upscale
from tests.emulator.sockets import get, post


class Maker:
    """Makes values and counts how often."""

    def __init__(self) -> None:
        self.made: list[Hashable] = []
        self.go_on = asyncio.Event()

    def of(self, key: str) -> Callable[[], Any]:
        async def make() -> str:
            self.made.append(key)
            await self.go_on.wait()
            if key.startswith("bad"):
                raise ValueError(key)
            return key * 10

        return make


def size_of(_: Hashable, value: str) -> int:
    return len(value)


def test_a_value_is_made_once_also_for_those_who_ask_meanwhile() -> None:
    async def main() -> None:
        maker, memo = Maker(), Memo[str](size_of, 1000)
        asking = [asyncio.create_task(memo.get("a", maker.of("a"))) for _ in range(5)]
        await asyncio.sleep(0)
        asking[0].cancel()  # the others get it all the same
        maker.go_on.set()
        assert await asyncio.gather(*asking[1:]) == ["a" * 10] * 4
        assert await memo.get("a", maker.of("a")) == "a" * 10
        assert maker.made == ["a"]

    asyncio.run(main())


def test_what_cannot_be_made_is_not_remembered() -> None:
    async def main() -> None:
        maker, memo = Maker(), Memo[str](size_of, 1000)
        maker.go_on.set()
        for _ in range(2):
            with pytest.raises(ValueError, match="bad"):
                await memo.get("bad", maker.of("bad"))
        assert maker.made == ["bad", "bad"]

    asyncio.run(main())


def test_what_was_not_asked_for_the_longest_makes_room() -> None:
    async def main() -> None:
        maker, memo = Maker(), Memo[str](size_of, 20)
        maker.go_on.set()
        for key in "abacab":
            await memo.get(key, maker.of(key))
        assert maker.made == ["a", "b", "c", "b"]

    asyncio.run(main())


def test_a_value_that_is_too_large_is_made_each_time() -> None:
    async def main() -> None:
        maker, memo = Maker(), Memo[str](size_of, 5)
        maker.go_on.set()
        for _ in range(2):
            assert await memo.get("a", maker.of("a")) == "a" * 10
        assert maker.made == ["a", "a"]

    asyncio.run(main())


def test_a_value_with_a_lifetime_is_made_anew_after_it() -> None:
    async def main() -> None:
        maker, memo = Maker(), Memo[str](size_of, 1000, lifetime=0.0)
        maker.go_on.set()
        await memo.get("a", maker.of("a"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await memo.get("a", maker.of("a"))
        assert maker.made == ["a", "a"]

    asyncio.run(main())


def counted(made: list[tuple[Any, ...]]) -> Callable[..., bytes]:
    def upscaler(content: bytes, *options: Any) -> bytes:
        made.append(options)
        return picture()

    return upscaler


def test_the_same_image_with_the_same_options_is_upscaled_once() -> None:
    made: list[tuple[Any, ...]] = []
    with Emulator(upscaler=counted(made)) as emulator:
        image = text_of(picture())
        first, second = (post(emulator, upscale(image)).json()["data"][0] for _ in range(2))
        assert first["imageUUID"] != second["imageUUID"]
        assert get(first["imageURL"]).content == get(second["imageURL"]).content
        assert first["inputImageUUID"] != second["inputImageUUID"]
        post(emulator, upscale(first["inputImageUUID"]))
        post(emulator, upscale(second["inputImageUUID"]))
        post(emulator, upscale(image, outputFormat="PNG"))
        post(emulator, upscale(image, upscaleFactor=4))
        post(emulator, upscale(text_of(picture((9, 9)))))
        assert sum(emulator.executions.values()) == 7
        assert emulator.billed == pytest.approx(7 * 0.0013)
    # As base64 and as a stored file, an image is two inputs.
    assert len(made) == 5


def test_the_same_link_is_fetched_once_at_a_time() -> None:
    fetched: list[str] = []
    both_there = threading.Event()

    class Images(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            fetched.append(self.path)
            both_there.wait(20)
            content = picture()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's
            """Quiet."""

    with (
        ThreadingHTTPServer(("127.0.0.1", 0), Images) as server,
        Emulator() as emulator,
        ThreadPoolExecutor(3) as callers,
    ):
        serving = threading.Thread(target=server.serve_forever, args=(0.01,))
        serving.start()
        link = f"http://127.0.0.1:{server.server_port}/cat.png"
        answers = [callers.submit(post, emulator, upscale(link)) for _ in range(3)]
        while len(emulator.requests) < 3:
            both_there.wait(0.01)
        both_there.set()
        assert [answer.result().status_code for answer in answers] == [200] * 3
        server.shutdown()
        serving.join()
    assert fetched == ["/cat.png"]
