"""Test the relay: the bytes that it lets through, and its faults as both ends see them."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from typing import Any, cast

import anyio
import pytest

from runware_ws import InputError
from runware_ws.emulator import Emulator, Relay
from runware_ws.emulator.relay import Direction
from tests.emulator.bench import picture, upscale
from tests.emulator.sockets import PIXELS, TIMEOUT, Client, until
from tests.support.clients import client_of

MEBIBYTE = 1024 * 1024


class Line:
    """A relay, with a plain socket at each end."""

    def __init__(self, relay: Relay, here: socket.socket, there: socket.socket) -> None:
        self.relay = relay
        self.here = here
        self.there = there


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        server.settimeout(TIMEOUT)
        yield server


@pytest.fixture
def relay(listening: socket.socket) -> Iterator[Relay]:
    with Relay(f"ws://127.0.0.1:{listening.getsockname()[1]}/v1?a=b") as running:
        yield running


def dialled(relay: Relay) -> socket.socket:
    port = int(relay.url.partition("/v1")[0].rpartition(":")[2])
    return socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT)


@contextmanager
def connected(relay: Relay, listening: socket.socket) -> Iterator[Line]:
    with dialled(relay) as here:
        there, _ = listening.accept()
        there.settimeout(TIMEOUT)
        with there:
            yield Line(relay, here, there)


@pytest.fixture
def line(relay: Relay, listening: socket.socket) -> Iterator[Line]:
    with connected(relay, listening) as made:
        yield made


def taken(end: socket.socket, count: int) -> bytes:
    found = b""
    while len(found) < count:
        chunk = end.recv(count - len(found))
        assert chunk, "the connection has ended"
        found += chunk
    return found


def is_quiet(end: socket.socket) -> bool:
    """Return True if there is nothing to be read, not even an end."""
    end.setblocking(False)
    try:
        end.recv(1)
    except BlockingIOError:
        return True
    finally:
        end.settimeout(TIMEOUT)
    return False


def test_bytes_get_through_both_ways_and_are_counted(line: Line) -> None:
    line.here.sendall(b"to the server")
    assert taken(line.there, 13) == b"to the server"
    line.there.sendall(b"to the client")
    assert taken(line.here, 13) == b"to the client"
    assert (line.relay.bytes_up, line.relay.bytes_down) == (13, 13)
    assert line.relay.connections == line.relay.open_connections == 1


def test_its_address_is_that_of_the_target_but_for_the_port(relay: Relay) -> None:
    assert relay.url.startswith("ws://127.0.0.1:")
    assert relay.url.endswith("/v1?a=b")
    assert repr(relay) == f"<Relay {relay.url} running, 0 open>"


def test_much_gets_through_whole(line: Line) -> None:
    content = bytes(range(256)) * 40_000
    sender = threading.Thread(target=line.here.sendall, args=(content,))
    sender.start()
    assert taken(line.there, len(content)) == content
    sender.join()


def test_one_half_may_end_while_the_other_goes_on(line: Line) -> None:
    line.here.shutdown(socket.SHUT_WR)
    assert line.there.recv(1) == b""
    line.there.sendall(b"x")
    assert taken(line.here, 1) == b"x"
    line.there.close()
    assert line.here.recv(1) == b""
    until(lambda: line.relay.open_connections == 0)


def test_a_reset_at_one_end_is_a_reset_at_the_other(line: Line) -> None:
    line.here.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    line.here.close()
    with pytest.raises(ConnectionResetError):
        line.there.recv(1)
    until(lambda: line.relay.open_connections == 0)


def test_a_clean_cut_is_an_end_at_both_ends(line: Line) -> None:
    line.here.sendall(b"unread")
    until(lambda: line.relay.bytes_up == 6)
    line.relay.cut()
    assert taken(line.there, 6) == b"unread"
    assert line.there.recv(1) == line.here.recv(1) == b""
    assert line.relay.open_connections == 0


def test_a_reset_is_a_reset_at_both_ends(line: Line) -> None:
    line.here.sendall(b"x")
    taken(line.there, 1)
    line.relay.cut(reset=True)
    for end in (line.here, line.there):
        with pytest.raises(ConnectionResetError):
            end.recv(1)


def test_after_a_cut_new_connections_are_accepted(
    relay: Relay, listening: socket.socket, line: Line
) -> None:
    relay.cut(reset=True)
    with connected(relay, listening) as again:
        again.here.sendall(b"x")
        assert taken(again.there, 1) == b"x"
    assert relay.connections == 2


def test_new_connections_are_refused_until_it_resumes(
    relay: Relay, listening: socket.socket, line: Line
) -> None:
    relay.refuse()
    with pytest.raises(ConnectionResetError), dialled(relay) as refused:
        refused.recv(1)
    line.here.sendall(b"x")
    assert taken(line.there, 1) == b"x"
    relay.resume()
    with connected(relay, listening):
        assert relay.open_connections == 2


def test_a_target_that_is_not_there_is_a_reset(relay: Relay, listening: socket.socket) -> None:
    listening.close()
    with pytest.raises(ConnectionResetError), dialled(relay) as here:
        here.recv(1)
    until(lambda: relay.open_connections == 0)


@pytest.mark.parametrize("direction", ["up", "down"])
def test_one_direction_falls_silent_and_what_was_held_comes_after(
    line: Line, direction: Direction
) -> None:
    sender, receiver = (line.here, line.there) if direction == "up" else (line.there, line.here)
    line.relay.silence(direction)
    sender.sendall(b"held")
    receiver.sendall(b"let through")
    assert taken(sender, 11) == b"let through"
    assert is_quiet(receiver)
    line.relay.resume()
    assert taken(receiver, 4) == b"held"


def test_ends_do_not_get_through_a_silence_until_it_is_over(line: Line) -> None:
    line.relay.silence()
    line.here.sendall(b"last words")
    line.here.close()
    line.there.sendall(b"nobody hears this")
    assert is_quiet(line.there)
    line.relay.resume()
    assert taken(line.there, 10) == b"last words"
    assert_ended(line.there)


def assert_ended(end: socket.socket) -> None:
    with suppress(ConnectionResetError):
        assert end.recv(1) == b""


def test_swallowed_bytes_never_come(line: Line) -> None:
    line.relay.silence("up", swallow=True)
    line.here.sendall(b"swallowed")
    until(lambda: line.relay.bytes_swallowed == 9)
    line.relay.resume()
    line.here.sendall(b"passed")
    assert taken(line.there, 6) == b"passed"


def test_a_silent_connection_can_be_cut(line: Line) -> None:
    line.relay.silence()
    line.here.sendall(b"held")
    line.relay.cut()
    assert line.there.recv(1) == line.here.recv(1) == b""


def test_who_sends_much_into_a_silence_has_to_wait_in_the_end(line: Line) -> None:
    line.relay.silence()
    line.here.settimeout(0.2)
    with pytest.raises(TimeoutError):
        line.here.sendall(bytes(64 * MEBIBYTE))


def test_bytes_take_their_time_and_do_not_wait_for_each_other(line: Line) -> None:
    line.relay.delay(0.2)
    start = time.monotonic()
    for n in range(20):
        line.here.sendall(bytes([n]))
        time.sleep(0.01)  # so that they are apart; what is measured is the delay
    assert taken(line.there, 20) == bytes(range(20))
    assert 0.35 < time.monotonic() - start < 3


def test_what_is_delayed_comes_at_once_when_it_resumes(line: Line) -> None:
    line.relay.delay(3600)
    line.here.sendall(b"x")
    assert is_quiet(line.there)
    line.relay.resume()
    assert taken(line.there, 1) == b"x"


def test_a_slow_line_lets_so_many_bytes_through_in_a_second(line: Line) -> None:
    line.relay.throttle(100_000)
    start = time.monotonic()
    line.here.sendall(bytes(40_000))
    taken(line.there, 40_000)
    assert 0.35 < time.monotonic() - start < 4


def test_a_slow_line_is_fast_again_when_it_resumes(line: Line) -> None:
    line.relay.throttle(1)
    line.here.sendall(bytes(40_000))
    line.relay.resume()
    taken(line.there, 40_000)


def test_bytes_come_in_pieces(line: Line) -> None:
    line.relay.split(3)
    line.here.sendall(bytes(range(200)))
    pieces: list[bytes] = []
    while sum(map(len, pieces)) < 200:
        pieces.append(line.there.recv(1000))
    assert b"".join(pieces) == bytes(range(200))


def test_it_stops_with_connections_open_and_starts_again_on_its_port(
    relay: Relay, listening: socket.socket, line: Line
) -> None:
    url = relay.url
    relay.silence()
    relay.stop()
    relay.stop()
    with pytest.raises(ConnectionResetError):
        line.here.recv(1)
    relay.resume()
    with relay:
        assert relay.url == url
        with connected(relay, listening) as again:
            again.here.sendall(b"x")
            assert taken(again.there, 1) == b"x"
        with pytest.raises(RuntimeError, match="is running"):
            relay.start()


@pytest.mark.parametrize("cut", [False, True])
def test_it_stops_at_once_while_an_end_reads_nothing(line: Line, cut: bool) -> None:
    line.here.settimeout(0.2)
    with pytest.raises(TimeoutError):
        line.here.sendall(bytes(64 * MEBIBYTE))
    if cut:
        line.relay.cut()
    start = time.monotonic()
    line.relay.stop()
    assert time.monotonic() - start < 2


def test_a_port_that_is_taken_is_an_error_at_once(relay: Relay) -> None:
    port = int(relay.url.partition("/v1")[0].rpartition(":")[2])
    with pytest.raises(OSError, match="in use"):
        Relay(relay.url, port=port).start()


@pytest.mark.parametrize("url", ["", "127.0.0.1:80", "ftp://host", "ws://"])
def test_a_target_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(InputError, match="is not a server"):
        Relay(url)


def test_settings_that_make_no_sense_are_refused(relay: Relay) -> None:
    wrongs: list[Callable[[], None]] = [
        lambda: relay.delay(-1),
        lambda: relay.throttle(0),
        lambda: relay.split(0),
        lambda: relay.silence(cast(Any, "sideways")),
    ]
    for wrong in wrongs:
        with pytest.raises(InputError):
            wrong()


def test_an_emulator_behind_it_sees_nothing_of_it_even_in_single_bytes() -> None:
    with Emulator() as emulator, Relay(emulator.url) as relay:
        relay.split(1)
        with Client(cast(Emulator, _Behind(relay, emulator))) as client:
            client.send(upscale(PIXELS))
            assert client.receive()["data"][0]["imageURL"]


class _Behind:
    """An emulator's key at the relay's address."""

    def __init__(self, relay: Relay, emulator: Emulator) -> None:
        self.url = relay.url
        self.api_key = emulator.api_key


@pytest.mark.anyio
@pytest.mark.parametrize("swallow", [False, True])
@pytest.mark.parametrize("direction", ["up", "down", "both"])
async def test_the_client_survives_a_silence(direction: Direction, swallow: bool) -> None:
    async with Emulator(latency=0.05) as emulator, Relay(emulator.url) as relay:
        async with client_of(
            emulator, url=relay.url, keepalive=0.2, ping_timeout=0.2, connect_timeout=0.3
        ) as client:
            tasks = [await client.submit(picture((2 + n, 2))) for n in range(4)]
            relay.silence(direction, swallow=swallow)
            tasks += [await client.submit(picture((2 + n, 2))) for n in range(4)]
            with anyio.fail_after(TIMEOUT):
                while client.state == "connected":  # noqa: ASYNC110  # it has no event for this
                    await anyio.sleep(0.02)
                relay.resume()
                found = [await task.result() for task in tasks]
        assert [one.task_uuid for one in found] == [task.task_uuid for task in tasks]
        assert set(emulator.executions.values()) == {1}


@pytest.mark.anyio
@pytest.mark.parametrize("reset", [False, True])
async def test_the_client_survives_cuts_at_any_byte(reset: bool) -> None:
    async with Emulator() as emulator, Relay(emulator.url) as relay:
        async with client_of(emulator, url=relay.url) as client:
            relay.throttle(30_000)  # so that a cut falls into the middle of frames
            tasks = [await client.submit(picture((2 + n, 2))) for n in range(20)]
            for _ in range(5):
                await anyio.sleep(0.05)
                relay.cut(reset=reset)
            relay.resume()
            with anyio.fail_after(TIMEOUT):
                found = [await task.result() for task in tasks]
        assert [one.task_uuid for one in found] == [task.task_uuid for task in tasks]
        assert set(emulator.executions.values()) == {1}
