"""The step of Ray Data, Spark and Dask, called with the batches that these make."""

from __future__ import annotations

import io
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from runware_ws import AuthenticationError, InputError
from runware_ws.emulator import Emulator
from runware_ws.emulator.faults import Fail
from runware_ws.upscaler import Upscaler
from tests.emulator.bench import picture


def in_environment(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNWARE_URL", emulator.url)
    monkeypatch.setenv("RUNWARE_API_KEY", emulator.api_key)


@pytest.fixture
def emulator(monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    with Emulator() as emulator:
        in_environment(emulator, monkeypatch)
        yield emulator


@pytest.fixture
def upscaler(emulator: Emulator) -> Iterator[Upscaler]:
    """An upscaler after a journey to a worker."""
    one: Upscaler = pickle.loads(pickle.dumps(Upscaler(upscale_factor=2, output_format="PNG")))
    yield one
    one.close()


def column(*values: Any) -> Any:
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


def test_a_batch_of_numpy_columns_gets_its_results(upscaler: Upscaler, emulator: Emulator) -> None:
    sizes = [(4, 5), (6, 7)]
    batch = {
        "bytes": column(*(picture(size) for size in sizes)),
        "id": np.array([1, 2]),
        "other": column("a", "b"),
    }
    done = upscaler(batch)
    assert set(done) == {
        *("id", "other", "image", "width", "height", "cost", "task_uuid", "error"),
    }
    assert all(isinstance(values, np.ndarray) for values in done.values())
    assert list(done["other"]) == ["a", "b"]
    assert list(zip(done["width"], done["height"], strict=True)) == [(8, 10), (12, 14)]
    assert [Image.open(io.BytesIO(one)).size for one in done["image"]] == [(8, 10), (12, 14)]
    assert list(done["cost"]) == [0.0013, 0.0013]
    assert list(done["error"]) == [None, None]
    assert set(emulator.executions) == set(done["task_uuid"])


def test_a_row_that_fails_has_its_error_and_the_others_go_on(
    upscaler: Upscaler, tmp_path: Path
) -> None:
    good = tmp_path / "good.png"
    good.write_bytes(picture((4, 4)))
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no image at all, only some text")
    done = upscaler({"path": column(str(good), str(bad), str(tmp_path / "missing.png"), None)})
    assert [one is not None for one in done["image"]] == [True, False, False, False]
    assert done["error"][0] is None
    assert "invalidImage" in done["error"][1]
    assert "missing.png' cannot be read" in done["error"][2]
    assert "the row has none" in done["error"][3]
    assert done["task_uuid"][1]
    assert list(done["path"][:2]) == [str(good), str(bad)]


def test_a_batch_that_is_run_again_by_another_process_is_not_billed_again(
    emulator: Emulator,
) -> None:
    batch = {"bytes": column(*(picture((size, 4)) for size in range(3, 9))), "id": np.arange(6)}
    results = []
    for _ in range(2):
        upscaler = Upscaler()
        results.append(list(upscaler(batch)["task_uuid"]))
        upscaler.close()
    assert results[0] == results[1]
    assert set(emulator.executions.values()) == {1}
    assert emulator.executions.total() == 6


def test_without_an_id_the_content_is_the_key(upscaler: Upscaler, emulator: Emulator) -> None:
    done = upscaler({"bytes": column(picture((4, 4)), picture((4, 4)), picture((5, 5)))})
    assert len(set(done["task_uuid"])) == 2
    assert emulator.executions.total() == 2


def test_links_go_in_and_out(emulator: Emulator) -> None:
    first, second = Upscaler(output="url"), Upscaler(output="url", upscale_factor=2)
    link = first({"bytes": [picture((4, 4))]})["url"][0]
    assert link.startswith(emulator.http_url)
    done = second({"url": [link]})
    assert done["error"][0] is None
    assert done["url"][0] not in (None, link)
    assert "image" not in done
    first.close()


def test_one_client_is_kept_open_between_batches(upscaler: Upscaler, emulator: Emulator) -> None:
    for one in (upscaler, upscaler, pickle.loads(pickle.dumps(upscaler))):
        one({"bytes": [picture((4, 4))]})
    logins = [one for one in emulator.requests if one.task["taskType"] == "authentication"]
    assert len(logins) == 1


def test_the_rows_of_a_batch_travel_together(upscaler: Upscaler) -> None:
    rows = 40
    done = upscaler({"bytes": [picture((4, 4))] * rows, "id": list(range(rows))})
    assert not any(done["error"])
    assert upscaler._client().stats().frames_sent < rows


def test_frames_of_pandas_and_iterators_of_them(upscaler: Upscaler, emulator: Emulator) -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(
        {"bytes": [picture((4, 4)), None], "url": [None, None], "id": ["a", "b"]}, index=[7, 9]
    )
    done = upscaler(frame)
    assert list(done.index) == [7, 9]
    assert list(done["id"]) == ["a", "b"]
    assert "bytes" not in done
    assert done["width"].tolist()[0] == 8
    assert "the row has none" in done["error"].tolist()[1]
    frames = list(upscaler(iter([frame, frame])))  # as mapInPandas of Spark does
    assert [list(one.columns) for one in frames] == [list(done.columns)] * 2
    assert emulator.executions.total() == 1


def test_a_key_that_is_refused_fails_the_batch_and_not_its_rows(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNWARE_API_KEY", "wrong-key-of-a-worker")
    with pytest.raises(AuthenticationError):
        Upscaler()({"bytes": [picture((4, 4))]})


def test_an_error_of_the_service_is_one_of_its_row(monkeypatch: pytest.MonkeyPatch) -> None:
    with Emulator(faults=[Fail(every=1, code="internalServerError")]) as emulator:
        in_environment(emulator, monkeypatch)
        upscaler = Upscaler(client={"max_retries": 0})
        done = upscaler({"bytes": [picture((4, 4))]})
        upscaler.close()
    assert "ServerError" in done["error"][0]


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"output": "file"}, "output: 'file'"),
        ({"client": {"api_key": "rw_secret"}}, "would be pickled"),
        ({"factor": 2}, "factor: is not an option"),
        ({"output_type": "URL"}, "output_type: is not an option"),
    ],
)
def test_wrong_arguments_are_refused(arguments: dict[str, Any], match: str) -> None:
    with pytest.raises(InputError, match=match) as raised:
        Upscaler(**arguments)
    assert "rw_secret" not in str(raised.value)


@pytest.mark.usefixtures("emulator")
def test_a_batch_without_images_is_refused() -> None:
    with pytest.raises(InputError, match="has no column with images"):
        Upscaler()({"picture": [b""]})
