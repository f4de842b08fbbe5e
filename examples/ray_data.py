"""Upscale the images of a folder with Ray Data, on all machines of a cluster.

pip install "runware-ws[ray]"
python examples/ray_data.py [FOLDER]

The path of an image is its id, and so its idempotency key: if Ray repeats a batch because an actor
or a machine died, its images are neither run nor billed twice.
"""

import os
import sys
from pathlib import Path

import ray

from runware_ws.emulator import Emulator
from runware_ws.upscaler import Upscaler

HERE = Path(__file__).parent
OUT = Path("upscaled")


def main(folder: Path) -> None:
    # A folder of this machine; "s3://bucket/photos" works alike, in and out.
    images = ray.data.read_binary_files(
        str(folder.absolute()), include_paths=True, file_extensions=["jpg", "png"]
    )
    results = (
        images.rename_columns({"path": "id"})
        .repartition(4)
        .map_batches(
            Upscaler,
            concurrency=2,  # two actors, each with a connection of its own
            num_cpus=0.1,  # they wait for the service more than they work
            batch_size=32,
            fn_constructor_kwargs={"upscale_factor": 2, "output_format": "PNG"},
        )
    )
    results.write_parquet(str(OUT.absolute()))
    table = ray.data.read_parquet(str(OUT.absolute()))
    for row in sorted(table.take_all(), key=lambda row: row["id"]):
        told = row["error"] or f"{row['width']} x {row['height']}"
        print(f"{Path(row['id']).name}: {told}")


if __name__ == "__main__":
    source = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE
    if "RUNWARE_API_KEY" in os.environ:
        ray.init()
        main(source)
    else:
        print("RUNWARE_API_KEY is not set: using an emulator (Lanczos stands in for the model)")
        with Emulator() as emulator:
            os.environ |= {"RUNWARE_URL": emulator.url, "RUNWARE_API_KEY": emulator.api_key}
            ray.init(num_cpus=4, include_dashboard=False)
            main(source)
