"""Does the jobs: fetches the image, works on it in a thread, stores the result.

The work is a stand-in for Real-ESRGAN; see `runware_ws.emulator.pictures`.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from math import inf

import httpx

from ..service.jobs import Failed, Job, Made, Outcome
from ..service.validation import is_link, is_uuid
from . import pictures
from .store import ImageStore, StoredImage

__all__ = ["Engine"]

_log = logging.getLogger(__name__)
_MAX_WORKERS = 8
_MAX_DOWNLOAD_BYTES = 256 * 1024 * 1024


class Engine:
    """Runs jobs on worker threads, so that the event loop only waits.

    Args:
        store: where inputs by UUID are found, and results are put.
        clock: the time of the service.
        latency: seconds that each upscale takes longer, as if a model were at work. Such waits
            run side by side, however many there are.
        workers: how many images are worked on at once; by default one per processor, 8 at most.
        http: gives the client for downloads; called when it is first needed.
    """

    def __init__(
        self,
        store: ImageStore,
        clock: Callable[[], float],
        http: Callable[[], httpx.AsyncClient],
        *,
        latency: float = 0.0,
        workers: int | None = None,
    ) -> None:
        if not 0 <= latency < inf:
            raise ValueError("latency must not be negative, nor without end")
        self._store = store
        self._clock = clock
        self._http = http
        self._latency = latency
        self._pool = _started_pool(workers or min(os.cpu_count() or 1, _MAX_WORKERS))

    async def run(self, job: Job) -> Outcome:
        """Do a job. Whatever goes wrong becomes a `Failed`, in the service's words."""
        if self._latency and not job.is_upload:
            await asyncio.sleep(self._latency)
        try:
            source = await self._download(job.image) if is_link(job.image) else None
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._pool, self._work, job, source)
        except pictures.BadImageError as error:
            return Failed("invalidImage", f"Invalid image: {error}.", job.image_parameter)
        except _MediaNotFoundError:
            return Failed("mediaNotFound", "No image with this UUID.", job.image_parameter)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            reason = f"{type(error).__name__} {error}".rstrip()
            message = f"The image could not be downloaded: {reason}."
            return Failed("downloadFailed", message, job.image_parameter)
        except Exception:  # noqa: BLE001 - a client waits for an answer, whatever happens
            _log.exception("job %s failed", job.task_uuid)
            return Failed("internalServerError", "The emulator failed; see its log.")

    def close(self) -> None:
        """Wait for the image at hand, give up the rest."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    async def _download(self, url: str) -> bytes:
        async with self._http().stream("GET", url, follow_redirects=True) as response:
            response.raise_for_status()
            content = bytearray()
            async for chunk in response.aiter_bytes():
                content += chunk
                if len(content) > _MAX_DOWNLOAD_BYTES:
                    raise pictures.BadImageError("the image is too large")
            return bytes(content)

    def _work(self, job: Job, source: bytes | None) -> Made:
        """On a worker thread: make the image and store what is to be stored."""
        content = self._input(job) if source is None else source
        if job.is_upload:
            stored, media_type = pictures.shrink(content)
            self._store.put(job.image_uuid, StoredImage(stored, media_type))
            return Made()
        result = pictures.upscale(
            content,
            job.option("upscaleFactor"),
            job.option("outputFormat"),
            job.option("outputQuality"),
        )
        if not is_uuid(job.image):
            self._store.put(job.input_image_uuid, StoredImage(content, "application/octet-stream"))
        ttl = job.option("ttl") if job.option("outputType") == "URL" else None
        expires = None if ttl is None else self._clock() + ttl
        self._store.put(job.image_uuid, StoredImage(result, job.media_type, expires))
        return Made(base64.b64encode(result).decode() if job.wants_base64 else "")

    def _input(self, job: Job) -> bytes:
        if not is_uuid(job.image):
            return pictures.from_base64(job.image)
        stored = self._store.get(job.image, self._clock())
        if stored is None:
            raise _MediaNotFoundError
        return stored.content


def _started_pool(workers: int) -> ThreadPoolExecutor:
    """A pool whose threads are all there from the start, so that they end with their owner."""
    pool = ThreadPoolExecutor(workers, "runware-engine")
    all_there = threading.Barrier(workers)
    for _ in range(workers):
        pool.submit(all_there.wait)
    return pool


class _MediaNotFoundError(Exception):
    """No image has the UUID that a request names."""
