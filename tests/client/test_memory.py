"""What a client does about the memory of its process."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

from runware_ws import memory

TIMES, BLOCKS, BLOCK_BYTES, PAGE_BYTES = 20, 4, 4_000_000, 4096
PROGRAM = f"""
import asyncio, resource
from runware_ws import ConnectionLostError, RunwareClient

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

async def main():
    client = RunwareClient("key", url="ws://127.0.0.1:1", max_reconnect_time=0)
    try:
        await client.connect()
    except ConnectionLostError:
        before = faults()
        for _ in range({TIMES}):
            [bytearray({BLOCK_BYTES}) for _ in range({BLOCKS})]
        print(faults() - before)

asyncio.run(main())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries do as they do")
def test_large_blocks_are_cleared_once_and_not_for_each_image() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < 2 * BLOCKS * BLOCK_BYTES / PAGE_BYTES


def test_a_process_that_may_not_have_so_much_is_left_as_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(memory, "_LARGEST", 2**62)
    memory.keep_large_blocks.cache_clear()
    memory.keep_large_blocks()
