"""The checks of this machine."""

from __future__ import annotations

import ssl

import anyio
import pytest
import trustme

from runware_ws.doctor import local
from runware_ws.doctor.table import Row
from runware_ws.transport import Target
from tests.support.clients import KEY
from tests.support.scripted import ScriptedServer


def connection_to(url: str) -> dict[str, Row]:
    """The checks of the way to a service, in an event loop that ends with its threads."""

    async def check() -> dict[str, Row]:
        return {row.name: row async for row in local.check_connection(Target(url))}

    return anyio.run(check)


def test_python_and_the_packages_are_good() -> None:
    assert local.check_python().state == local.check_packages().state == "ok"
    for name in ("runware-ws", "websockets", "orjson", "anyio"):
        assert f"{name} " in local.check_packages().text


def test_an_old_python_and_an_old_package_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.version_info", (3, 10))
    assert local.check_python().state == "failed"
    monkeypatch.setattr(local, "version", lambda name: "14.2")
    row = local.check_packages()
    assert row.state == "failed"
    assert "websockets 14.2 is older than 15.0" in row.text
    assert "orjson" not in row.text


def test_the_key_is_found_and_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    row, key = local.check_key()
    assert (row.state, key) == ("failed", None)
    monkeypatch.setenv("RUNWARE_API_KEY", KEY)
    row, key = local.check_key()
    assert row == Row("key", "found in RUNWARE_API_KEY")
    assert key is not None
    assert key.reveal() == KEY


def test_a_certificate_that_nobody_vouches_for_is_named() -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    with ScriptedServer(tls=context) as server:
        row = (connection_to(server.url))["TLS"]
    assert row.state == "failed"
    assert row.text.startswith("the certificate is refused: ")


def test_a_good_certificate_is_good(monkeypatch: pytest.MonkeyPatch) -> None:
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with ScriptedServer(tls=context) as server, authority.cert_pem.tempfile() as path:
        monkeypatch.setenv("SSL_CERT_FILE", path)
        row = (connection_to(server.url))["TLS"]
    assert row.text.startswith("the certificate is valid")


def test_a_name_that_nobody_knows_is_named() -> None:
    rows = connection_to("wss://nowhere.invalid/v1")
    assert (rows["proxy"].text, rows["DNS"].state, rows["TLS"].state) == (
        "none",
        "failed",
        "failed",
    )


def test_the_proxy_is_shown_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://me:secret@127.0.0.1:1")
    rows = connection_to("wss://example.com/v1")
    assert rows["proxy"].text == "http at 127.0.0.1:1, from the environment"
    assert rows["DNS"].text == "the host is an address"
    assert rows["TLS"].state == "failed"
    assert "secret" not in str(rows)


def test_a_proxy_that_is_none_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "ftp://me:secret@127.0.0.1")
    rows = connection_to("wss://example.com/v1")
    assert list(rows) == ["proxy"]
    assert rows["proxy"].state == "failed"
    assert "secret" not in rows["proxy"].text
