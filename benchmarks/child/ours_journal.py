"""This package with a journal, in a file of its own for each run."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from ..job import Job
from .base import Api
from .ours import open_with

__all__ = ["open_client"]


@asynccontextmanager
async def open_client(job: Job) -> AsyncIterator[Api]:
    """The journal lies where temporary files do."""
    with TemporaryDirectory() as folder:
        async with open_with(job, journal=Path(folder) / "jobs.sqlite3") as api:
            yield api
