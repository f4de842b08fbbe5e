"""Test TLS: large images both ways, a drop, and a certificate of somebody else's."""

from __future__ import annotations

import ssl
from pathlib import Path
from random import Random

import pytest

from runware_ws import ConnectionLostError
from tests.support.answers import JPEG, result
from tests.support.clients import IMAGE, KEY, client_of
from tests.support.scripted import Connection, ScriptedServer

trustme = pytest.importorskip("trustme", reason="it is in the extra `test` only")
pytestmark = pytest.mark.anyio

LARGE = JPEG + Random(1).randbytes(8 * 1024 * 1024)


@pytest.fixture
def tls(tmp_path: Path) -> ssl.SSLContext:
    """A server's end of TLS; who signed its certificate stands in ``tmp_path``."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


@pytest.fixture
def trusted(tls: ssl.SSLContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """The same, trusted by this process."""
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    return tls


async def test_large_images_go_both_ways_and_a_drop_is_survived(trusted: ssl.SSLContext) -> None:
    async def returns_the_image_and_drops_the_next(connection: Connection) -> None:
        await connection.accept()
        (task,) = await connection.take()
        await connection.send(result(task, imageBase64Data=task["inputs"]["image"]))
        await connection.take()
        connection.abort()

    with ScriptedServer(returns_the_image_and_drops_the_next, tls=trusted) as server:
        async with client_of(server) as client:
            assert (await client.upscale(LARGE, output_type="base64Data")).data == LARGE
            assert (await client.upscale(IMAGE)).image_url
            assert await client.ping() > 0
    assert len(server.connections) == 2


async def test_a_certificate_that_nobody_vouches_for_is_named_as_the_cause(
    tls: ssl.SSLContext,
) -> None:
    with ScriptedServer(tls=tls) as server:
        client = client_of(server, max_reconnect_time=0)
        with pytest.raises(ConnectionLostError, match="certificate verify failed") as caught:
            await client.connect()
    assert KEY not in str(caught.value)
    assert not server.tasks
