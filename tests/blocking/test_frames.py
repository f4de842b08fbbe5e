"""The step in real Dask and Spark, where these are installed: the extra `dev` has neither."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from runware_ws.emulator import Emulator
from runware_ws.upscaler import Upscaler
from tests.blocking.test_upscaler import in_environment
from tests.emulator.bench import picture

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]
ROOT = Path(__file__).parents[2]
COLUMNS = {
    "id": "string",
    "image": "binary",
    "width": "int",
    "height": "int",
    "cost": "double",
    "task_uuid": "string",
    "error": "string",
}
IDS = ["a", "b", "c", "d"]


def test_partitions_of_dask(monkeypatch: pytest.MonkeyPatch) -> None:
    pandas = pytest.importorskip("pandas")
    dask = pytest.importorskip("dask")
    dataframe = pytest.importorskip("dask.dataframe")
    with Emulator() as emulator:
        in_environment(emulator, monkeypatch)
        upscaler = Upscaler(upscale_factor=2)
        frame = pandas.DataFrame({"bytes": [picture((4, 5))] * 4, "id": IDS})
        with dask.config.set({"dataframe.convert-string": False}):  # or bytes would become texts
            parts = dataframe.from_pandas(frame, npartitions=2)
        meta = dict.fromkeys(COLUMNS, object)
        done = parts.map_partitions(upscaler, meta=meta).compute(scheduler="synchronous")
        upscaler.close()
        assert emulator.executions.total() == len(IDS)
    assert done["id"].tolist() == IDS
    assert done["width"].tolist() == [8] * 4
    assert done["error"].tolist() == [None] * 4


SPARK = """
import sys
from pyspark.sql import SparkSession
from runware_ws.upscaler import Upscaler
from tests.blocking.test_frames import COLUMNS, IDS, picture

spark = SparkSession.builder.master("local[2]").getOrCreate()
rows = [(bytearray(picture((4, 5))), one) for one in IDS]
frame = spark.createDataFrame(rows, "bytes binary, id string").repartition(2)
schema = ", ".join(f"{name} {kind}" for name, kind in COLUMNS.items())
for row in frame.mapInPandas(Upscaler(upscale_factor=2), schema).collect():
    print(row["id"], row["height"], row["error"])
"""


def test_frames_of_spark(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pyspark")
    with Emulator() as emulator:
        in_environment(emulator, monkeypatch)
        monkeypatch.setenv("PYTHONPATH", str(ROOT))
        monkeypatch.setenv("PYSPARK_PYTHON", sys.executable)
        # A process of its own, since Spark leaves threads behind.
        done = subprocess.run(
            [sys.executable, "-c", SPARK], capture_output=True, text=True, check=False
        )
        assert sorted(done.stdout.splitlines()) == [f"{one} 10 None" for one in IDS], done.stderr
        assert emulator.executions.total() == len(IDS)
