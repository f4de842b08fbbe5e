"""Downloads over HTTP/2, where the package h2 is installed."""

from __future__ import annotations

import ssl
from pathlib import Path

import anyio
import pytest

from runware_ws import UpscaleResult
from runware_ws.http import transfer
from runware_ws.runtime.download import Downloads
from tests.support.pictures import PICTURE

pytest.importorskip("h2", reason="it is in the extra `test` only")
trustme = pytest.importorskip("trustme", reason="it is in the extra `test` only")

from tests.support.http2 import http2_server  # noqa: E402  # it needs h2

pytestmark = pytest.mark.anyio


@pytest.fixture
def tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    monkeypatch.setattr(transfer, "_DELAYS", (0.0, 0.0))
    return context


async def test_many_downloads_share_one_connection(tls: ssl.SSLContext) -> None:
    with http2_server(tls, PICTURE) as server:
        downloads = Downloads("wss://127.0.0.1/v1")
        downloads.open()
        url = f"https://127.0.0.1:{server.port}/a.jpg"
        results = [UpscaleResult("t", {"imageURL": url}, downloads=downloads) for _ in range(20)]
        got: list[bytes] = []

        async def read(one: UpscaleResult) -> None:
            got.append(await one.read())

        async with anyio.create_task_group() as group:
            for one in results:
                group.start_soon(read, one)
        assert got == [PICTURE] * 20
        assert (server.requests, server.connections) == (20, 1)
        await downloads.aclose()


async def test_a_shared_connection_that_ends_is_replaced(tls: ssl.SSLContext) -> None:
    with http2_server(tls, PICTURE) as server:
        server.hangs_up_after = 3
        downloads = Downloads("wss://127.0.0.1/v1")
        downloads.open()
        url = f"https://127.0.0.1:{server.port}/a.jpg"
        for _ in range(5):
            one = UpscaleResult("t", {"imageURL": url}, downloads=downloads)
            assert await one.read() == PICTURE
        assert (server.requests, server.connections) == (6, 2)
        await downloads.aclose()


async def test_a_download_that_is_too_large_leaves_the_others_alone(tls: ssl.SSLContext) -> None:
    with http2_server(tls, PICTURE) as server:
        small = Downloads("wss://127.0.0.1/v1", max_bytes=1000)
        small.open()
        url = f"https://127.0.0.1:{server.port}/a.jpg"
        for _ in range(2):
            with pytest.raises(Exception, match="max_download_bytes"):
                await UpscaleResult("t", {"imageURL": url}, downloads=small).read()
        assert server.connections == 1
        await small.aclose()
