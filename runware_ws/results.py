"""The result of an upscale task, with methods to get its image."""

from __future__ import annotations

import os
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import InputError, ProtocolError
from .escaping import escaped
from .pictures import check_pillow, effective_scale, image_of, size_of, thumbnail_of
from .protocol.request import is_url
from .runtime.concurrency import run_in_thread, run_off_loop, uninterruptible
from .runtime.content import FileContent, MemoryContent
from .runtime.download import Downloads, downloads_of_environment

if TYPE_CHECKING:
    import PIL.Image

_SHOWN = 320  # pixels a side in a notebook


@uninterruptible
class UpscaleResult:
    """An upscaled image, as the service delivered it.

    Attributes:
        task_uuid: the task's UUID, which never changes.
        raw: all members as received, including those that this package does not know.
        attempts: number of times that the task was run (see ``max_retries``).
        tag: the caller's tag, or None.
        seconds: seconds from the call to the result, or None if unknown.
    """

    _attempt_uuids: tuple[str, ...] = ()
    _saved_to: Path | None = None

    def __init__(
        self,
        task_uuid: str,
        raw: Mapping[str, Any],
        attempts: int = 1,
        seconds: float | None = None,
        downloads: Downloads | None = None,
        *,
        tag: Any = None,
        on_ack: Callable[[], None] | None = None,
    ) -> None:
        self.task_uuid = task_uuid
        self.raw = raw
        self.attempts = attempts
        self.tag = tag
        self.seconds = seconds
        self._on_ack = on_ack
        self._downloads = downloads or downloads_of_environment()

    @property
    def attempt_uuids(self) -> tuple[str, ...]:
        """The taskUUIDs of all attempts; more than one if the task failed and was run again."""
        return self._attempt_uuids or (self.task_uuid,)

    def ack(self) -> None:
        """Tell the journal that the result is safe, so that it forgets the task.

        Until then, a new client with the same journal gets the result again from
        `RunwareClient.recovered`. `save` acknowledges too, and so does an ``async for`` loop over
        outcomes when it asks for the next one. Without a journal this method does nothing.
        """
        on_ack, self._on_ack = self._on_ack, None
        if on_ack is not None:
            on_ack()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_on_ack": None}  # a copy in another process cannot acknowledge

    @property
    def saved_to(self) -> Path | None:
        """Path of the last file that `save` wrote, or None."""
        return self._saved_to

    @property
    def image_uuid(self) -> str | None:
        """UUID of the image at the service, or None. It can be used as the input of a task."""
        return self._text("imageUUID", "mediaUUID")

    @property
    def image_url(self) -> str | None:
        """Link to the image, with ``output_type="URL"``; else None."""
        return self._text("imageURL", "mediaURL")

    @property
    def input_image_uuid(self) -> str | None:
        """UUID of the input image at the service, or None."""
        return self._text("inputImageUUID", "inputMediaUUID")

    @property
    def cost(self) -> float | None:
        """Cost of the task in US dollars, with ``include_cost=True``; else None."""
        value = self.raw.get("cost")
        return float(value) if isinstance(value, int | float) else None

    @cached_property
    def data(self) -> bytes:
        """Content of the image file, with ``output_type`` ``"base64Data"`` or ``"dataURI"``.

        It is decoded on first use, and cached.

        Raises:
            InputError: the result is a link: use `read`, or ask for another ``output_type``.
            ProtocolError: the base64 is broken, or there is neither data nor a link.
        """
        text = self._base64
        if text is None:
            remedy = 'call read(), or ask for output_type="base64Data"'
            raise InputError("data", f"the result is a link, {escaped(self._link)}", remedy)
        try:
            return b64decode(text, validate=True)
        except ValueError:
            raise ProtocolError(f"the base64 of task {self.task_uuid} is broken") from None

    @property
    def _base64(self) -> str | None:
        uri = self._text("imageDataURI", "mediaDataURI")
        if uri is not None:
            return uri.partition(",")[2]
        return self._text("imageBase64Data", "mediaBase64Data")

    async def read(self) -> bytes:
        """Return the content of the image file. A link is downloaded, with the extra ``http``.

        Only https links to public addresses are followed, and links to the host of the client's
        URL.

        Raises:
            DownloadError: the link cannot be downloaded, does not lead to an image, or the image is
                larger than ``max_download_bytes``.
            MissingExtraError: httpx is not installed.
            ProtocolError: there is neither data nor a link.
        """
        text = self._base64
        if text is not None:
            return await run_off_loop(lambda result: result.data, self, len(text))
        return await self._downloads.fetch(self._link, MemoryContent())

    async def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the image file atomically, and acknowledge the result (see `ack`).

        A link is downloaded into a temporary file in the same folder, in little memory, however
        large the image is. An interrupted download is resumed. After an error the temporary file is
        removed, and the result is not acknowledged.

        Args:
            path: a file, whose suffix is replaced by that of the content (``photo`` or
                ``photo.png`` become ``photo.jpg`` for a JPEG); or an existing folder, in which the
                file is named after the task. Missing folders are created.

        Returns:
            The path of the file.

        Raises:
            OSError: the file cannot be written.
            DownloadError, MissingExtraError, ProtocolError: see `read`.
        """
        # The journal forgets the result afterwards, so the file must survive a power failure.
        content = FileContent(Path(path), self.task_uuid, durable=self._on_ack is not None)
        try:
            if self._base64 is None:
                saved = await self._downloads.fetch(self._link, content)
            else:
                await content.add(await self.read())
                saved = await content.finish()
        except BaseException:
            await content.discard()
            raise
        self._saved_to = saved
        self.ack()
        return saved

    async def image(self) -> PIL.Image.Image:
        """Return the image as a Pillow image, with the extra ``images``. See also `read`.

        Raises:
            OSError: Pillow cannot read it.
            DownloadError, MissingExtraError, ProtocolError: see `read`.
        """
        check_pillow("a result as a Pillow image")
        return await run_in_thread(image_of, await self.read())

    def effective_scale(self, image: Any) -> float | None:
        """Return how many times wider and higher the image is than its input.

        It is less than the factor if the service silently shrank the input first, because it makes
        results of at most 4096 x 4096 pixels; `RunwareClient.upscale_large` makes larger ones. This
        method downloads nothing, and blocks while it reads the headers of files.

        Args:
            image: the input: a `pathlib.Path`, bytes, a Pillow image or a numpy array.

        Returns:
            None if it is unknown: the result holds no data and was not saved, the input is of
            another type, or Pillow (the extra ``images``) is not installed.

        Raises:
            ProtocolError: the base64 of the result is broken.
        """
        size = size_of(image)
        result = size_of(self.saved_to if self._base64 is None else self.data)
        return None if size is None or result is None else effective_scale(size, result)

    @property
    def _link(self) -> str:
        if self.image_url is None:
            raise ProtocolError(f"the result of task {self.task_uuid} holds neither data nor link")
        return self.image_url

    def _text(self, *names: str) -> str | None:
        for name in names:
            value = self.raw.get(name)
            if isinstance(value, str):
                return value
        return None

    def __repr__(self) -> str:
        where = self.image_url or "data"
        return f"<UpscaleResult {self.task_uuid}: {escaped(where)}>"

    def _repr_html_(self) -> str:
        """Return a small picture, the taskUUID and the cost, for notebooks. Download nothing."""
        from html import escape

        picture = ""
        if self.image_url is not None and is_url(self.image_url):
            link = escape(self.image_url)
            picture = f'<a href="{link}"><img src="{link}" style="max-width: {_SHOWN}px"></a><br>'
        elif (shown := self._thumbnail("WEBP")) is not None:
            picture = f'<img src="data:image/webp;base64,{b64encode(shown).decode()}"><br>'
        cost = "" if self.cost is None else f", ${self.cost:g}"
        return f"<div>{picture}<code>{escape(self.task_uuid)}</code>{cost}</div>"

    def _repr_png_(self) -> bytes | None:
        """Return a small picture, if the result holds data, for notebooks without HTML."""
        return self._thumbnail("PNG")

    def _thumbnail(self, form: str) -> bytes | None:
        if self._base64 is None:
            return None
        with suppress(ProtocolError):
            if (small := thumbnail_of(self.data, _SHOWN, form)) is not None:
                return small.data
        return None
