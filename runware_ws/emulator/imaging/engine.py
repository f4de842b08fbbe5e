"""The engine, which runs the jobs of the service in worker threads, and stores the images."""

from __future__ import annotations

import asyncio
import base64
import logging
import os
import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import httpx

from ..service.jobs import Failed, Job, JobOutcome, Succeeded
from ..service.settings import ServiceSettings
from .memo import Memo
from .pictures import BadImageError, UpscaleFunction, from_base64, shrink, upscale, with_jitter

_log = logging.getLogger(__name__)
_MAX_WORKERS = 8
_MAX_FETCHES = 16  # httpx keeps 20 connections; with more in use, it becomes slow
_FRESH = 1.0  # seconds for which a file that was fetched is not fetched again
_OPTIONS = ("upscaleFactor", "outputFormat", "outputQuality")
_Made: TypeAlias = tuple[bytes, bytes, str]  # the input, the result, and the result as base64
# The exceptions of httpx; the last one is raised for a host name that IDNA does not allow.
HTTP_ERRORS = (httpx.HTTPError, httpx.InvalidURL, UnicodeError)


@dataclass(frozen=True, slots=True)
class StoredImage:
    """A file in memory.

    Attributes:
        content: the bytes of the file.
        media_type: its media type.
        expires: the time at which it is deleted, on the clock of the service; None for never.
    """

    content: bytes = field(repr=False)
    media_type: str
    expires: float | None = None


class ImageStore:
    """Files by UUID, ignoring case.

    Args:
        max_bytes: their total size. Above it the oldest are dropped, but never the newest.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._images: OrderedDict[str, StoredImage] = OrderedDict()
        self._bytes = 0

    def put(self, uuid: str, image: StoredImage) -> None:
        """Store a file, and replace any other with the same UUID."""
        self.remove(uuid)
        self._images[uuid.lower()] = image
        self._bytes += len(image.content)
        while self._bytes > self._max_bytes and len(self._images) > 1:
            self.remove(next(iter(self._images)))

    def get(self, uuid: str, now: float) -> StoredImage | None:
        """Return a file; None if it is unknown, was dropped or has expired."""
        image = self._images.get(uuid.lower())
        if image is not None and image.expires is not None and image.expires <= now:
            self.remove(uuid)
            return None
        return image

    def remove(self, uuid: str) -> None:
        """Delete a file, if there is one."""
        if image := self._images.pop(uuid.lower(), None):
            self._bytes -= len(image.content)


class Engine:
    """Downloads images, processes them in threads, and stores the results.

    Args:
        store: the store of inputs and results by UUID.
        clock: returns the time of the service.
        http: returns the client for downloads.
        upscaler: returns the file of a result; see `pictures.upscale`.
    """

    def __init__(
        self,
        store: ImageStore,
        settings: ServiceSettings,
        *,
        clock: Callable[[], float],
        http: Callable[[], httpx.AsyncClient],
        upscaler: UpscaleFunction = upscale,
    ) -> None:
        self._store = store
        self._settings = settings
        self._clock = clock
        self._http = http
        jitter = settings.brightness_jitter
        self._upscaler = with_jitter(upscaler, jitter) if jitter else upscaler
        self._results: Memo[_Made] = Memo(_size_of_made, settings.max_image_bytes // 4)
        self._fetched: Memo[bytes] = Memo(
            lambda _, content: len(content), settings.max_image_bytes // 4, _FRESH
        )
        self._fetching = asyncio.Semaphore(_MAX_FETCHES)
        self._pool = _started_pool(settings.workers or min(os.cpu_count() or 1, _MAX_WORKERS))

    async def run(self, job: Job) -> JobOutcome:
        """Run a job. An error becomes a `Failed` with a message like those of the service."""
        try:
            if self._settings.latency and not job.is_upload:
                await asyncio.sleep(self._settings.latency)
            return await self._run(job)
        except BadImageError as error:
            return Failed("invalidImage", f"Invalid image: {error}.", job.image_parameter)
        except _MediaNotFoundError:
            return Failed("mediaNotFound", "No image with this UUID.", job.image_parameter)
        except HTTP_ERRORS as error:
            reason = f"{type(error).__name__} {error}".rstrip()
            message = f"The image could not be downloaded: {reason}."
            return Failed("downloadFailed", message, job.image_parameter)
        except Exception:  # noqa: BLE001 - a client waits for an answer, whatever happens
            _log.exception("job %s failed", job.task_uuid)
            return Failed("internalServerError", "The emulator failed; see its log.")

    def close(self) -> None:
        """Wait for the images that are being processed, and drop the others."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    async def _run(self, job: Job) -> Succeeded:
        source = await self._source(job)
        if job.is_deletion:
            self._store.remove(job.image)
            return Succeeded()
        content, result, encoded = await self._made(job, source)
        if job.image_form != "uuid" and not job.is_upload:
            original = StoredImage(content, "application/octet-stream")
            self._store.put(job.input_image_uuid, original)
        lifetime = self._settings.image_lifetime(job.options)
        expires = None if lifetime is None else self._clock() + lifetime
        self._store.put(job.image_uuid, StoredImage(result, job.media_type, expires))
        return Succeeded(encoded)

    async def _source(self, job: Job) -> bytes | None:
        """Return the file of the input; None if it is inline, to be decoded in the thread."""
        if job.image_form == "url":
            return await self._fetched.get(job.image, lambda: self._download(job.image))
        if job.image_form == "inline":
            return None
        stored = self._store.get(job.image, self._clock())
        if stored is None:
            raise _MediaNotFoundError
        return stored.content

    async def _download(self, url: str) -> bytes:
        async with (
            self._fetching,
            self._http().stream("GET", url, follow_redirects=True) as response,
        ):
            response.raise_for_status()
            content = bytearray()
            async for chunk in response.aiter_bytes():
                content += chunk
                if len(content) > self._settings.max_download_bytes:
                    raise BadImageError("the image is too large")
            return bytes(content)

    async def _made(self, job: Job, source: bytes | None) -> _Made:
        """Return the result of `_make`, which is cached for each input with its options."""

        def make() -> asyncio.Future[_Made]:
            loop = asyncio.get_running_loop()
            return loop.run_in_executor(self._pool, self._make, job, source)

        material = job.image if source is None else source
        kind = (job.is_media, job.is_upload, job.wants_base64)
        return await self._results.get((material, kind, *map(job.options.get, _OPTIONS)), make)

    def _make(self, job: Job, source: bytes | None) -> _Made:
        """Return the input, the result, and the result as base64 if the answer carries it.

        It runs in a worker thread, so it changes nothing.
        """
        content = from_base64(job.image) if source is None else source
        if job.is_media:
            return content, content, ""
        if job.is_upload:
            return content, shrink(content), ""
        options = (job.options[name] for name in _OPTIONS)
        result = self._upscaler(content, *options)
        return content, result, base64.b64encode(result).decode() if job.wants_base64 else ""


def _started_pool(workers: int) -> ThreadPoolExecutor:
    """Return a pool with all threads started, so that leak detectors see none start later."""
    pool = ThreadPoolExecutor(workers, "runware-engine")
    all_there = threading.Barrier(workers)
    for _ in range(workers):
        pool.submit(all_there.wait)
    return pool


def _size_of_made(key: Any, made: _Made) -> int:
    return len(key[0]) + sum(map(len, made))


class _MediaNotFoundError(Exception):
    """No image has the UUID in a request."""
