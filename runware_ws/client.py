"""The client: one long-lived connection for many upscale tasks."""

from __future__ import annotations

import os
from collections.abc import AsyncIterable, Callable, Iterable, Mapping
from pathlib import Path
from ssl import SSLContext
from types import EllipsisType
from typing import IO, TYPE_CHECKING, Any, Literal, TypeVar
from uuid import UUID

from .batch import Outcomes, Window, check_images
from .inputs import Image
from .options import (
    DeliveryMethod,
    OutputFormat,
    OutputType,
    UpscaleFactor,
    check_priority,
    check_task_uuid,
    request_template,
)
from .other_tasks import OtherTasks
from .protocol.request import MODEL
from .results import UpscaleResult
from .runtime.api_key import ApiKey, KeyFunction
from .runtime.concurrency import uninterruptible
from .runtime.download import check_http_client, require_http
from .runtime.environment import check_journal, check_proxy, check_ssl, find_url, from_environment
from .runtime.submission import Submission
from .saving import saver_for
from .settings import Settings, check_bool, check_number
from .task import UpscaleTask
from .tiling import LargePlan, LargeResult

if TYPE_CHECKING:
    import httpx


AnyImage = TypeVar("AnyImage", bound=Image)


@uninterruptible
class RunwareClient(OtherTasks):
    """A client of the Runware upscale API (Real-ESRGAN) over one persistent WebSocket.

        async with RunwareClient() as client:
            result = await client.upscale(Path("photo.jpg"), upscale_factor=4)
            await result.save("photo-large.jpg")

    It works on asyncio and on trio, and reconnects automatically. Any task of the event loop may
    close it. Durations are in seconds, sizes in bytes.

    Args:
        api_key: the API key, or a plain or asynchronous function that returns it. The function is
            called when the client is opened, and again when the service refuses a key that it
            accepted before. Default: the environment variable ``RUNWARE_API_KEY``.
        url: URL of the service. Default: ``RUNWARE_URL``, or else ``wss://ws-api.runware.ai/v1``.
        max_in_flight: the maximum number of tasks in flight; `submit` waits when it is reached.
            Default 1024.
        adaptive: whether the number of tasks in flight is found at run time. It starts low, grows
            while tasks succeed, and falls when the service refuses tasks for lack of room or
            becomes slower. A refused task waits and is sent again. Default True; with False the
            number is always ``max_in_flight``.
        connections: the maximum number of connections. A second one is opened when small tasks
            would wait behind large images. As many again are opened when all are busy with large
            images, sent or received, and more are waiting: a line may limit each connection.
            Default 2.
        max_in_flight_bytes: the maximum size of all encoded inputs in memory. An image that is
            larger is sent alone. Default 128 MiB.
        max_retries: the maximum number of retries of a task after transient errors of the service.
            Each retry has a new taskUUID. Default 2; 0 disables retries.
        timeout: default ``timeout`` of a task; None for no limit. Default 300.
        connect_timeout: time limit for one attempt to connect. Default 10.
        auth_timeout: time limit for the reply to the authentication. Default 10.
        keepalive: silence after which a ping is sent. Default 20; Runware documents that it closes
            a connection after 120 s of silence.
        ping_timeout: time without any data after a ping, after which the connection counts as dead.
            Default 10.
        max_reconnect_time: time without a connection after which the client gives up. Default:
            None, for no limit.
        max_size: size of the largest frame that is accepted. Default 256 MiB.
        max_tasks_per_frame: maximum number of tasks in one frame. Default 100, or the limit in
            `profile`.
        max_frame_bytes: maximum size of a frame with several tasks; a larger task is sent in its
            own frame. Default 64 KiB.
        allow_insecure: whether the key may be sent over ``ws://`` to another machine. Default
            False.
        on_doubt: what to do with a task that was sent and that the service cannot find afterwards:
            ``"resend"`` (the default) sends it again under the same UUID, ``"fail"`` raises
            `ResultLostError`. With ``"resend"``, a service that neither finds running tasks nor
            refuses known UUIDs may run such a task twice.
        doubt_window: time within which the service finds a task that it has received. A task whose
            fate is in doubt is not sent again earlier. Default 2, or the time in `profile`.
        max_download_bytes: size of the largest result that is downloaded. Default 512 MiB.
        download_timeout: time limit for the download of a result with its retries; None for no
            limit. Default 300.
        http_client: an ``httpx.AsyncClient`` for downloads, which this client does not close. Host
            names that lead to private addresses are then not refused. Default: own connections,
            which are kept until this client is closed.
        reuse_inputs: whether an image that was sent before, for example with another factor, is
            sent as the UUID that the service gave it. The last 256 images of this client are
            remembered, but not with a `journal` or an ``idempotency_key``. If the service has
            forgotten the image, the whole image is sent, which does not count as a retry.
            Default False, because the service stores uploads with at most 2048 pixels a side, a
            limit that images in requests do not have: the input of a second task might be smaller
            than that of the first.
        budget: US dollars that this client may spend on upscaling. A task that might exceed it
            raises `BudgetError` and is not sent. It implies ``include_cost``. A task in flight
            counts as the highest cost so far; until a cost is known, tasks are sent one at a time.
            Default: no limit.
        journal: path of a file in which tasks survive the process; see `recovered`. Default: none.
        ssl: the TLS settings for ``wss://`` and for downloads, for example with your own
            certificates. Default: `ssl.create_default_context`.
        proxy: URL of an HTTP or SOCKS proxy; True for the proxy of the environment; False for none.
            Default True.
        profile: the findings of `runware-ws doctor` about the service: ``"auto"`` (the default) for
            the profile of this host and key, the path of a profile, or None. Arguments take
            precedence over it.

    If a number or text is not given, it is taken from the environment variable ``RUNWARE_WS_`` plus
    its name, such as ``RUNWARE_WS_MAX_IN_FLIGHT``, if that is set.

    Raises:
        InputError: an argument is wrong, or there is no key.
    """

    @from_environment
    def __init__(
        self,
        api_key: str | KeyFunction | None = None,
        *,
        url: str | None = None,
        max_in_flight: int = Settings.max_in_flight,
        adaptive: bool = Settings.adaptive,
        connections: int = Settings.connections,
        max_in_flight_bytes: int = Settings.max_in_flight_bytes,
        max_retries: int = Settings.max_retries,
        timeout: float | None = Settings.timeout,
        connect_timeout: float = Settings.connect_timeout,
        auth_timeout: float = Settings.auth_timeout,
        keepalive: float = Settings.keepalive,
        ping_timeout: float = Settings.ping_timeout,
        max_reconnect_time: float | None = Settings.max_reconnect_time,
        max_size: int = Settings.max_size,
        max_tasks_per_frame: int | None = None,
        max_frame_bytes: int = Settings.max_frame_bytes,
        allow_insecure: bool = Settings.allow_insecure,
        on_doubt: Literal["resend", "fail"] = Settings.on_doubt,
        doubt_window: float | None = None,
        max_download_bytes: int = Settings.max_download_bytes,
        download_timeout: float | None = Settings.download_timeout,
        http_client: httpx.AsyncClient | None = None,
        reuse_inputs: bool = Settings.reuse_inputs,
        budget: float | None = None,
        journal: str | os.PathLike[str] | None = None,
        ssl: SSLContext | None = None,
        proxy: str | bool = Settings.proxy,
        profile: str | os.PathLike[str] | None = "auto",
    ) -> None:
        try:
            key = ApiKey(api_key)
        finally:
            del api_key  # so that no dump of local variables holds it
        settings = Settings(
            url=find_url(url),
            max_in_flight=max_in_flight,
            adaptive=adaptive,
            connections=connections,
            max_in_flight_bytes=max_in_flight_bytes,
            max_retries=max_retries,
            timeout=timeout,
            connect_timeout=connect_timeout,
            auth_timeout=auth_timeout,
            keepalive=keepalive,
            ping_timeout=ping_timeout,
            max_reconnect_time=max_reconnect_time,
            max_size=max_size,
            max_frame_bytes=max_frame_bytes,
            allow_insecure=allow_insecure,
            on_doubt=on_doubt,
            ssl=check_ssl(ssl),
            proxy=check_proxy(proxy),
            max_download_bytes=max_download_bytes,
            download_timeout=download_timeout,
            budget=budget,
            reuse_inputs=reuse_inputs,
        )
        check_journal(journal)
        check_http_client(http_client)
        given = {"doubt_window": doubt_window, "max_tasks_per_frame": max_tasks_per_frame}
        from .doctor.profile import with_profile  # a program may never make a client

        super().__init__(
            with_profile(profile, settings, key.secret, given), key, journal, http_client
        )

    async def upscale(
        self,
        image: Image,
        *,
        upscale_factor: UpscaleFactor | None = 4,
        output_type: OutputType | None = None,
        output_format: OutputFormat | None = None,
        output_quality: int | None = None,
        ttl: int | None = None,
        include_cost: bool | None = None,
        webhook_url: str | None = None,
        upload_endpoint: str | None = None,
        delivery_method: DeliveryMethod | None = None,
        model: str = MODEL,
        routing: Mapping[str, Any] | None = None,
        extra_members: Mapping[str, Any] | None = None,
        task_uuid: str | UUID | None = None,
        tag: Any = None,
        priority: int = 0,
        idempotency_key: str | None = None,
        timeout: float | EllipsisType | None = ...,
    ) -> UpscaleResult:
        """Upscale an image and wait for the result. If the call is cancelled, the task is given up.

        Options are checked before anything is sent. An option that is None is not sent; the
        service's default applies.

        Args:
            image: a `pathlib.Path`, bytes, an open binary file, a Pillow image, a numpy array (rows
                x columns of uint8, grey, RGB or RGBA), or a string that is a URL, the UUID of an
                image at the service, a data URI or base64. A string is never opened as a file.
            upscale_factor: how many times wider and higher the result is: 2 or 4. Runware makes
                results of at most 4096 x 4096 pixels, and silently shrinks larger inputs; see
                `UpscaleResult.effective_scale`. `upscale_large` makes larger results.
            output_type: how the image is delivered: ``"URL"`` (the service's default),
                ``"base64Data"`` or ``"dataURI"``.
            output_format: ``"JPG"`` (the service's default), ``"PNG"`` or ``"WEBP"``. JPG has no
                transparency.
            output_quality: compression quality, 20 to 99. The service's default is 95.
            ttl: seconds for which the service keeps the result, at least 60; only with ``"URL"``.
            include_cost: whether the result contains its cost. The service's default is False.
            webhook_url: URL to which the service also POSTs the result.
            upload_endpoint: URL to which the service also PUTs the image file.
            delivery_method: ``"sync"`` (the service's default): the result is pushed when it is
                ready. ``"async"``: the service acknowledges the task, and is polled.
            model: the model. Other models for upscaling are ``runware:500@1`` (Clarity) and
                ``runware:501@1`` (CCSR), which accept only factor 2.
            routing: an object that Runware's SDKs send since October 2026; passed on as it is.
            extra_members: further members of the request by their names on the wire, for options
                that are newer than this package. They are passed on unchecked.
            task_uuid: UUID v4 of the task, which was never used before. Default: a new one.
            tag: any JSON value. It comes back with the task, its result and its outcome, even from
                `recovered`.
            priority: tasks with a higher priority are sent first. If tasks of lower priorities are
                waiting, one in eight tasks is one of them. Default 0.
            idempotency_key: a name of the job, or ``"content"`` for a key derived from the image
                (not for a URL or UUID). The same key with the same options and API key means the
                same task in every process, on any machine: if it is running, the call waits for it;
                if it is finished, its result is fetched; only if the service does not know it, it
                is run. That holds for as long as the service remembers the task. With another API
                key, including one that ``api_key`` returns later, it is another task.
            timeout: seconds from this call until the task must be settled; None for no limit.
                Default: the client's ``timeout``.

        Raises:
            InputError: an argument is wrong; nothing was sent.
            TaskError: the service refused the task, or failed; see `runware_ws.errors`.
            TaskTimeoutError: ``timeout`` passed.
            ResultLostError: the outcome cannot be found.
            ProtocolError: the task or its answer is too large for a frame.
            ConnectionLostError, ClientClosedError, AuthenticationError, JournalError: the client
                ended.
        """
        submitter = self._opened()
        template = request_template(
            self._settings,
            upscale_factor=upscale_factor,
            output_type=output_type,
            output_format=output_format,
            output_quality=output_quality,
            ttl=ttl,
            include_cost=include_cost,
            webhook_url=webhook_url,
            upload_endpoint=upload_endpoint,
            delivery_method=delivery_method,
            model=model,
            routing=routing,
            extra_members=extra_members,
        )
        submission = await submitter.submit(
            image,
            template,
            task_uuid=task_uuid,
            idempotency_key=idempotency_key,
            timeout=self._timeout(timeout),
            tag=tag,
            priority=priority,
            is_awaited=True,
        )
        try:
            await submitter.wait(submission)
        except BaseException:
            submitter.abandon(submission)
            raise
        return submission.result()

    async def submit(
        self,
        image: Image,
        *,
        upscale_factor: UpscaleFactor | None = 4,
        output_type: OutputType | None = None,
        output_format: OutputFormat | None = None,
        output_quality: int | None = None,
        ttl: int | None = None,
        include_cost: bool | None = None,
        webhook_url: str | None = None,
        upload_endpoint: str | None = None,
        delivery_method: DeliveryMethod | None = None,
        model: str = MODEL,
        routing: Mapping[str, Any] | None = None,
        extra_members: Mapping[str, Any] | None = None,
        task_uuid: str | UUID | None = None,
        tag: Any = None,
        priority: int = 0,
        idempotency_key: str | None = None,
        timeout: float | EllipsisType | None = ...,
    ) -> UpscaleTask:
        """Submit an image, and return when its task is sent or queued for sending.

        It waits while ``max_in_flight`` or ``max_in_flight_bytes`` is reached. An image of more
        than 64 KiB also waits while as many such images as there are connections are queued for
        sending, and would exceed 1 MiB together with it. Then the image is read and encoded. With a
        journal, the call returns when the task is recorded: if the process dies right afterwards,
        nothing is lost. If the call is cancelled, nothing was sent; with a journal the task is
        given up.

        Args:
            image: see `upscale`.
            upscale_factor: 2 or 4; see `upscale`.
            output_type: ``"URL"``, ``"base64Data"`` or ``"dataURI"``; see `upscale`.
            output_format: ``"JPG"``, ``"PNG"`` or ``"WEBP"``; see `upscale`.
            output_quality: compression quality, 20 to 99.
            ttl: seconds for which the service keeps the result; see `upscale`.
            include_cost: whether the result contains its cost.
            webhook_url: URL to which the service also POSTs the result.
            upload_endpoint: URL to which the service also PUTs the image file.
            delivery_method: ``"sync"`` or ``"async"``; see `upscale`.
            model: the model; see `upscale`.
            routing: passed on as it is; see `upscale`.
            extra_members: further members of the request; see `upscale`.
            task_uuid: UUID v4 of the task. Default: a new one.
            tag: any JSON value, which comes back with the result; see `upscale`.
            priority: tasks with a higher priority are sent first; see `upscale`.
            idempotency_key: a name of the job, or ``"content"``; see `upscale`.
            timeout: seconds from this call until the task must be settled; see `upscale`.

        Raises:
            InputError: an argument is wrong, or the image cannot be read; nothing was sent.
            TaskTimeoutError: ``timeout`` passed before the task was admitted or, with a journal,
                recorded; nothing was sent.
            ConnectionLostError, ClientClosedError, AuthenticationError, JournalError: the client
                ended.
        """
        submitter = self._opened()
        template = request_template(
            self._settings,
            upscale_factor=upscale_factor,
            output_type=output_type,
            output_format=output_format,
            output_quality=output_quality,
            ttl=ttl,
            include_cost=include_cost,
            webhook_url=webhook_url,
            upload_endpoint=upload_endpoint,
            delivery_method=delivery_method,
            model=model,
            routing=routing,
            extra_members=extra_members,
        )
        submission = await submitter.submit(
            image,
            template,
            task_uuid=task_uuid,
            idempotency_key=idempotency_key,
            timeout=self._timeout(timeout),
            tag=tag,
            priority=priority,
        )
        await submitter.recorded(submission)
        return UpscaleTask(self, submission)

    async def attach(
        self, task_uuid: str | UUID, *, timeout: float | EllipsisType | None = ...
    ) -> UpscaleTask:
        """Find a task again by its UUID, even if another process has sent it.

        The service is asked for its result. If the service does not know the task, or not any more,
        the task settles with `TaskNotFoundError`.

        Args:
            task_uuid: UUID of the task.
            timeout: seconds from this call until the task must be settled; None for no limit.
                Default: the client's ``timeout``.

        Raises:
            InputError: `task_uuid` is not a UUID v4.
            TaskTimeoutError: ``timeout`` passed before the task was admitted.
            ConnectionLostError, ClientClosedError, AuthenticationError, JournalError: the client
                ended.
        """
        submitter = self._opened()
        submission = await submitter.attach(check_task_uuid(task_uuid), self._timeout(timeout))
        return UpscaleTask(self, submission)

    def upscale_many(
        self,
        images: Iterable[AnyImage] | AsyncIterable[AnyImage],
        *,
        max_in_flight: int | None = None,
        ordered: bool = False,
        save_to: str | os.PathLike[str] | None = None,
        name: str | Callable[[AnyImage], str] | None = None,
        upscale_factor: UpscaleFactor | None = 4,
        output_type: OutputType | None = None,
        output_format: OutputFormat | None = None,
        output_quality: int | None = None,
        ttl: int | None = None,
        include_cost: bool | None = None,
        webhook_url: str | None = None,
        upload_endpoint: str | None = None,
        delivery_method: DeliveryMethod | None = None,
        model: str = MODEL,
        routing: Mapping[str, Any] | None = None,
        extra_members: Mapping[str, Any] | None = None,
        tag: Callable[[AnyImage], Any] | None = None,
        priority: int = 0,
        idempotency: Callable[[AnyImage], str] | Literal["content"] | None = None,
        timeout: float | EllipsisType | None = ...,
    ) -> Outcomes[AnyImage]:
        """Upscale any number of images in constant memory.

            async for outcome in client.upscale_many(Path("photos").glob("*.jpg")):
                if outcome.error is None:
                    await outcome.result.save(Path("large") / outcome.source.name)

        The outcome of an image that fails is a `Failure` with the error; other images are not
        affected. If `images` itself raises, the outcomes of the images before that come first, and
        then the exception is raised. If the iteration is left early, tasks in flight are cancelled;
        with a journal they continue, and the next client gets them from `recovered`. Several tasks
        may read one iteration; if one of them is cancelled while it waits, the iteration ends for
        all.

        Args:
            images: an iterable or an asynchronous iterable of images; see `upscale`. They are taken
                one at a time, as outcomes of others are read.
            max_in_flight: number of images taken and not yielded yet. Default: the client's.
            ordered: whether outcomes come in the order of `images`. Default: False, as they are
                settled.
            save_to: a folder into which results are saved, up to 32 at once, while other images are
                in flight. It is created if it is missing. Outcomes have the ``path``. If a result
                cannot be saved, its outcome has the error and the result as ``unsaved``, and it is
                not acknowledged.
            name: the name of a file, with or without a suffix. It is a template with the fields
                ``{stem}`` (of the image's file or URL), ``{factor}`` and ``{number}`` (of the
                image, from 1), or a function that returns the name for an image. It may contain
                folders within `save_to`. An image whose name is used already fails, and is not
                sent. Default ``{stem}``.
            upscale_factor: 2 or 4; see `upscale`. This and the following apply to every image.
            output_type: ``"URL"``, ``"base64Data"`` or ``"dataURI"``; see `upscale`.
            output_format: ``"JPG"``, ``"PNG"`` or ``"WEBP"``; see `upscale`.
            output_quality: compression quality, 20 to 99.
            ttl: seconds for which the service keeps the result; see `upscale`.
            include_cost: whether the result contains its cost.
            webhook_url: URL to which the service also POSTs the result.
            upload_endpoint: URL to which the service also PUTs the image file.
            delivery_method: ``"sync"`` or ``"async"``; see `upscale`.
            model: the model; see `upscale`.
            routing: passed on as it is; see `upscale`.
            extra_members: further members of the request; see `upscale`.
            tag: a function that returns the tag of an image, any JSON value, which comes back with
                its outcome; see `upscale`.
            priority: tasks with a higher priority are sent first; see `upscale`.
            idempotency: a function that returns the idempotency key of an image, or ``"content"``;
                see `upscale`.
            timeout: seconds for each image, from the moment it is taken; see `upscale`.

        Raises:
            InputError: an argument is wrong.
        """
        size = self._settings.max_in_flight if max_in_flight is None else max_in_flight
        check_number("max_in_flight", "int", size)
        check_bool("ordered", ordered)
        check_images(images)
        saver = saver_for(save_to, name, upscale_factor)
        if saver is not None and output_type in (None, "URL"):
            require_http("save_to")
        template = request_template(
            self._settings,
            upscale_factor=upscale_factor,
            output_type=output_type,
            output_format=output_format,
            output_quality=output_quality,
            ttl=ttl,
            include_cost=include_cost,
            webhook_url=webhook_url,
            upload_endpoint=upload_endpoint,
            delivery_method=delivery_method,
            model=model,
            routing=routing,
            extra_members=extra_members,
        )
        limit = self._timeout(timeout)
        check_priority(priority)

        async def submit(image: AnyImage, its_tag: Any) -> Submission:
            key = idempotency(image) if callable(idempotency) else idempotency
            return await self._opened().submit(
                image,
                template,
                idempotency_key=key,
                timeout=limit,
                tag=its_tag,
                priority=priority,
            )

        window = Window(
            submit,
            self._cancel,
            tag,
            size,
            ordered=ordered,
            keep_tasks=self._journal is not None,
            saver=saver,
        )
        return Outcomes(window, images)

    async def upscale_large(
        self,
        image: Path | bytes | bytearray | memoryview | IO[bytes],
        *,
        output: str | os.PathLike[str],
        factor: UpscaleFactor = 4,
        tile_size: int | None = None,
        overlap: int = 32,
        quality: int = 95,
        max_in_flight: int = 8,
        max_cost: float | None = None,
        on_plan: Callable[[LargePlan], None] | None = None,
        on_progress: Callable[[int, int], None] | None = None,
        delivery_method: DeliveryMethod | None = None,
        model: str = MODEL,
        priority: int = 0,
        timeout: float | EllipsisType | None = ...,
    ) -> LargeResult:
        """Upscale a picture of any size into a file, beyond the limit of 4096 x 4096 pixels.

        The picture is cut into overlapping tiles, which are upscaled in parallel and blended. The
        content of a tile is its idempotency key: after a crash, the same call runs only the tiles
        that the service does not know. Tiles with the same content are sent once. A tile that fails
        is retried alone.

        The result is upright (the EXIF orientation is applied), grey or RGB, with transparency if
        the picture has it, with 8 bits a channel. The resolution is kept, and so is the ICC
        profile, except that of CMYK, which becomes RGB. Other metadata are not kept. JPEG has no
        transparency: transparent pixels become white.

        Tiles are not padded or mirrored at the edges of the picture, so that the model gets the
        same pixels there as with the whole picture.

        It needs the extra ``large``. With pyvips, memory holds the tiles in flight, and some lines
        of the picture and the result; the disk of `output` needs room for twice the pixels.
        Progressive JPEG, interlaced PNG, WebP, HEIC, AVIF, and pictures that EXIF turns or flips
        upside down are decoded as a whole; WebP is encoded as a whole. With Pillow alone, memory
        holds the whole picture and the whole result. If the call is cancelled, its tasks are given
        up.

        Args:
            image: a `pathlib.Path`, bytes or an open binary file.
            output: path of the result: ``.tif`` (BigTIFF), ``.png``, ``.jpg``, ``.webp``, or
                ``.dzi`` for DeepZoom with pyvips. An existing file is replaced at the end.
            factor: 2 or 4.
            tile_size: the longest side of a tile in pixels. Default: 4096 / `factor`; smaller tiles
                take less memory, and cost more.
            overlap: pixels of context on each side of a tile.
            quality: quality of JPEG and WebP, 1 to 100.
            max_in_flight: number of tiles that are sent and not assembled yet.
            max_cost: US dollars that may be spent. If the estimate is higher, nothing is sent.
            on_plan: called with the tiles and the estimated cost before anything is sent. If it
                raises an exception, nothing is sent.
            on_progress: called with the number of finished tiles, and the number of all tiles.
            delivery_method: ``"sync"`` or ``"async"``; see `upscale`.
            model: the model; see `upscale`.
            priority: tasks with a higher priority are sent first; see `upscale`.
            timeout: seconds for each tile; see `upscale`.

        Raises:
            InputError: an argument is wrong, or the picture cannot be read.
            BudgetError: `max_cost` is reached.
            SaveError: the output cannot be written.
            MissingExtraError: Pillow is not installed.
            TaskError, TaskTimeoutError, ResultLostError: a tile failed, even after retries.
            ProtocolError: the result of a tile is not an image of the expected size.
            ConnectionLostError, ClientClosedError, AuthenticationError, JournalError: the client
                ended.
        """

        from .large import upscale_large

        check_number("max_in_flight", "int", max_in_flight)
        check_number("quality", "int", quality)
        return await upscale_large(
            self,
            image,
            output=output,
            factor=factor,
            tile_size=tile_size,
            overlap=overlap,
            quality=quality,
            max_in_flight=max_in_flight,
            max_cost=max_cost,
            on_plan=on_plan,
            on_progress=on_progress,
            options={
                "delivery_method": delivery_method,
                "model": model,
                "priority": priority,
                "timeout": timeout,
            },
        )
