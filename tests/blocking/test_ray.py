"""Ray Data on a real local Ray: an actor that dies costs nothing twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runware_ws.emulator import Emulator
from runware_ws.upscaler import Upscaler
from tests.client.sharing import png_of

ray = pytest.importorskip("ray", reason="the extra `ray` is not installed")
pytest.importorskip("ray.data", reason="the extra `ray` is not installed")

ROOT = Path(__file__).parents[2]
IMAGES = int(os.environ.get("RAY_TEST", "2000"))

# Ray leaves sockets and processes to the collector of garbage, and its helpers' threads running.
pytestmark = [
    pytest.mark.long,
    pytest.mark.timeout(600),
    pytest.mark.filterwarnings("ignore"),
]


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    """An emulator, and a local Ray whose workers know it."""
    with Emulator(latency=0.02) as emulator:
        variables = {
            "RUNWARE_URL": emulator.url,
            "RUNWARE_API_KEY": emulator.api_key,
            "PYTHONPATH": str(ROOT),
        }
        ray.init(num_cpus=4, include_dashboard=False, runtime_env={"env_vars": variables})
        yield emulator
        ray.shutdown()


class Mortal(Upscaler):
    """An upscaler of which one dies, once its batch is done and before Ray has the results."""

    def __init__(self, marker: str, **options: Any) -> None:
        super().__init__(**options)
        self._marker = Path(marker)

    def __call__(self, batch: Any) -> Any:
        done = super().__call__(batch)
        try:
            self._marker.touch(exist_ok=False)
        except FileExistsError:
            return done
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("unreachable")


def test_no_image_is_run_twice_though_an_actor_is_killed(
    emulator: Emulator, tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    for number in range(IMAGES):
        (tmp_path / "in" / f"{number}.png").write_bytes(png_of(number))
    images = ray.data.read_binary_files(str(tmp_path / "in"), include_paths=True)
    results = (
        images.rename_columns({"path": "id"})
        .repartition(8)
        .map_batches(
            Mortal,
            concurrency=2,
            num_cpus=0.1,
            batch_size=50,
            fn_constructor_kwargs={
                "marker": str(tmp_path / "killed"),
                "upscale_factor": 2,
                "output_format": "PNG",
            },
        )
    )
    results.write_parquet(str(tmp_path / "out"))
    rows = ray.data.read_parquet(str(tmp_path / "out")).take_all()
    assert (tmp_path / "killed").exists()
    assert len({row["id"] for row in rows}) == len(rows) == IMAGES
    assert all(row["error"] is None and row["width"] == 2 for row in rows)
    assert emulator.executions.total() == IMAGES
    assert set(emulator.executions.values()) == {1}


def test_the_example_runs(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "examples" / "ray_data.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "coffee.jpg: " in done.stdout
    assert "Error" not in done.stdout
    assert list((tmp_path / "upscaled").glob("*.parquet"))
