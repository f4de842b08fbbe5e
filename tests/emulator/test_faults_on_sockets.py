"""Test faults through real sockets, with a client that shares no code with the package."""

from __future__ import annotations

from collections import deque
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, ConnectionClosedError, InvalidStatus

from runware_ws.emulator import Emulator
from runware_ws.emulator.faults import Drop, Duplicate, Fail, Mix, Oversize, Refuse, Silence, Status
from tests.emulator.bench import upscale
from tests.emulator.sockets import PIXELS, Client, post, until


def ended(client: Client) -> ConnectionClosed:
    """Return how the connection ended; frames that come first are passed over."""
    with pytest.raises(ConnectionClosed) as caught:
        deque(iter(client.receive, None), maxlen=0)
    return caught.value


def test_a_refused_connection_gets_an_http_status_and_the_next_one_is_served(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with Emulator(faults=[Refuse(nth=1, status=429)]) as emulator:
        with pytest.raises(InvalidStatus) as caught, Client(emulator):
            pass
        assert caught.value.response.status_code == 429
        with Client(emulator):
            pass
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


def test_a_drop_with_a_goodbye_says_its_code() -> None:
    with Emulator(faults=[Drop(how="close", code=1012)]) as emulator, Client(emulator) as client:
        client.send(upscale(PIXELS))
        closed = ended(client)
    assert closed.rcvd is not None
    assert closed.rcvd.code == 1012


def test_an_abort_says_no_goodbye_and_loses_nothing_that_was_written() -> None:
    faults = [Oversize(frame_bytes=3_000_000), Drop(moment="after", how="abort")]
    with Emulator(faults=faults) as emulator, Client(emulator) as client:
        client.send(upscale(PIXELS))
        assert len(client.receive()["data"][0]["padding"]) > 2_900_000
        closed = ended(client)
    assert closed.rcvd is None


def test_a_reset_is_a_reset() -> None:
    with Emulator(faults=[Drop(how="reset")]) as emulator, Client(emulator) as client:
        client.send(upscale(PIXELS))
        closed = ended(client)
    assert isinstance(closed, ConnectionClosedError)
    assert isinstance(closed.__cause__, ConnectionResetError)


@pytest.mark.parametrize("how", ["close", "abort", "reset"])
def test_a_result_before_which_the_connection_dropped_is_replayed(how: Any) -> None:
    with Emulator(faults=[Drop(nth=1, how=how)]) as emulator:
        task = upscale(PIXELS)
        with Client(emulator) as client:
            client.send(task)
            ended(client)
            session = client.session
        # The emulator may hear of the end only after the next connection is made.
        with Client(emulator, session) as again:
            assert again.receive()["data"][0]["taskUUID"] == task["taskUUID"]


def test_a_silent_connection_stays_open_and_the_others_work() -> None:
    with Emulator(faults=[Silence(nth=1)]) as emulator, Client(emulator) as silent:
        silent.send(upscale(PIXELS))
        until(lambda: emulator.faults_struck == {"silence": 1})
        silent.send({"taskType": "ping", "ping": True})
        with Client(emulator) as other:
            other.send(upscale(PIXELS))
            other.receive()
        with pytest.raises(TimeoutError):
            silent.socket.recv(timeout=0)
        assert len(emulator.executions) == 2


def test_many_results_come_in_one_frame() -> None:
    faults = [Fail(nth=3), Mix(size=20, timeout=60)]
    with Emulator(faults=faults) as emulator, Client(emulator) as client:
        client.send(*(upscale(PIXELS) for _ in range(20)))
        frame = client.receive()
    assert len(frame["data"]) == 19
    assert len(frame["errors"]) == 1


def test_a_fault_with_a_clock_strikes_by_itself() -> None:
    with Emulator(faults=[Mix(size=20, timeout=0.01)]) as emulator, Client(emulator) as client:
        client.send(upscale(PIXELS))
        assert len(client.receive()["data"]) == 1


def test_faults_begin_anew_with_each_start_and_chance_repeats_with_the_seed() -> None:
    def struck() -> Any:
        with emulator, Client(emulator) as client:
            for _ in range(20):
                client.send(upscale(PIXELS))
                client.receive()
            return emulator.faults_struck

    emulator = Emulator(faults=[Duplicate(probability=0.5, seconds=3600)], seed=4)
    assert struck() == struck()
    assert emulator.seed == 4
    assert Emulator().seed != Emulator().seed


@pytest.mark.parametrize("status", [400, 401, 402, 403, 429, 500, 503])
def test_the_rest_twin_answers_with_each_status(status: int) -> None:
    with Emulator(faults=[Status(status=status, nth=1)]) as emulator:
        response: httpx.Response = post(emulator, upscale(PIXELS))
        assert response.status_code == status
        assert response.json()["errors"][0]["code"]
        assert post(emulator, upscale(PIXELS)).status_code == 200


def test_a_wrong_fault_is_an_error_before_the_start() -> None:
    with pytest.raises(TypeError, match="pass faults such as"):
        Emulator(faults=[Path("faults.toml")])  # type: ignore[list-item]  # a mistake, made on purpose
