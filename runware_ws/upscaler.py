"""A step of Ray Data, Spark or Dask that upscales the images of a table.

from runware_ws.upscaler import Upscaler

ray.data.read_binary_files("photos").map_batches(
    Upscaler, concurrency=2, fn_constructor_kwargs={"upscale_factor": 4}
)
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Literal, cast

from .errors import AuthenticationError, ClientClosedError, InputError, RunwareError
from .idempotency import CONTENT
from .options import UpscaleOptions
from .pictures import size_of

if TYPE_CHECKING:
    from . import sync
    from .client import RunwareClient
    from .task import UpscaleTask

__all__ = ["Upscaler"]

_SOURCES = ("bytes", "path", "url")  # columns, the first one that has a value
_RESULTS = ("width", "height", "cost", "task_uuid", "error")

_clients: dict[tuple[int, str], sync.RunwareClient] = {}  # by the process and their settings
_lock = Lock()


class Upscaler:
    """A function that takes a batch of rows and adds the upscaled images.

    The batch is a dict of columns or a DataFrame (as from Ray Data's ``map_batches``), a DataFrame
    (Dask's ``map_partitions``), or an iterator of DataFrames (Spark's ``mapInPandas``). The result
    is of the same kind. An `Upscaler` can be pickled. Each process opens one client for all
    batches; a Ray actor is a process. The processes need no coordination: each client finds the
    number of tasks in flight for which the service has room.

    The columns ``bytes``, ``path`` or ``url`` hold the image. If there are several, the first one
    with a value is used. The optional column ``id`` holds the idempotency key of a row: a batch
    that is run again, even by another process, is neither run nor billed twice, for as long as the
    service remembers its tasks. Without ``id``, the key is the content, or the URL.

    These columns are added: ``image`` (bytes) or ``url`` (which replaces the input column),
    ``width`` and ``height`` (not with ``url``), ``cost`` in US dollars, ``task_uuid`` and
    ``error``. A row that fails has the text of its error and no image; other rows are not affected.
    The column ``bytes`` is removed. Dask converts bytes to strings unless
    ``dask.config.set({"dataframe.convert-string": False})`` is called; it also needs a ``meta``.

    The API key is read from ``RUNWARE_API_KEY`` in each process.

    Args:
        output: ``"image"`` for the content of the image, ``"url"`` for a link to it.
        client: settings of `runware_ws.RunwareClient` as JSON values, such as
            ``{"max_in_flight": 64}``.
        options: options of the tasks, such as ``upscale_factor=4``; see `RunwareClient.upscale`.

    Raises:
        InputError: an argument is wrong.
    """

    def __init__(
        self,
        *,
        output: Literal["image", "url"] = "image",
        client: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> None:
        if output not in ("image", "url"):
            raise InputError("output", f"{output!r} is not known", 'pass "image" or "url"')
        self._settings = dict(client or {})
        if "api_key" in self._settings:
            remedy = "set RUNWARE_API_KEY in the environment of the workers"
            raise InputError("client", "has the key, which would be pickled", remedy)
        unknown = options.keys() - UpscaleOptions.__annotations__.keys() - {"priority"}
        if unknown or "output_type" in options:
            name = min(unknown, default="output_type")
            raise InputError(name, "is not an option of Upscaler", "leave it out")
        self._output = output
        kind = "base64Data" if output == "image" else "URL"
        self._options = {"include_cost": True, **options, "output_type": kind}

    def __call__(self, batch: Any) -> Any:
        """Return a batch with the results.

        Raises:
            AuthenticationError, ClientClosedError: the client cannot work, so no row can succeed.
            InputError: the batch has no column with images.
        """
        if isinstance(batch, Mapping):
            added = self._added({name: list(batch[name]) for name in batch})
            kept = {name: values for name, values in batch.items() if name != "bytes"}
            return {**kept, **_as_arrays(added)}
        if hasattr(batch, "columns"):
            added = self._added({name: batch[name].tolist() for name in batch.columns})
            return batch.drop(columns="bytes", errors="ignore").assign(**added)
        return self._frames(batch)

    def close(self) -> None:
        """Close the client of this process. The next batch opens a new one."""
        with _lock:
            client = _clients.pop(self._client_key(), None)
        if client is not None:
            client.close()

    def _frames(self, frames: Iterable[Any]) -> Iterator[Any]:
        for frame in frames:
            yield self(frame)

    def _client_key(self) -> tuple[int, str]:
        return os.getpid(), json.dumps(self._settings, sort_keys=True, default=str)

    def _client(self) -> sync.RunwareClient:
        """Return the client of this process, which the first batch opens."""
        from .sync import RunwareClient

        key = self._client_key()
        with _lock:
            client = _clients.get(key)
            if client is None or client.state in ("closed", "failed"):
                client = RunwareClient(**self._settings)
                client.connect()
                _clients[key] = client
            return client

    def _added(self, columns: dict[str, list[Any]]) -> dict[str, list[Any]]:
        names = [name for name in _SOURCES if name in columns]
        if not names:
            remedy = f"name one of {', '.join(_SOURCES)}"
            raise InputError("batch", "has no column with images", remedy)
        count = len(columns[names[0]])
        rows = [{name: _plain(columns[name][row]) for name in columns} for row in range(count)]
        client = self._client()
        # One call for all rows: a call into the thread of the event loop costs more than a task.
        results = client._loop.call(partial(self._results, client._original, rows))
        if self._output == "image":
            for one in results:
                one["width"], one["height"] = size_of(one.get("image")) or (None, None)
        return {name: [one.get(name) for one in results] for name in (self._output, *_RESULTS)}

    async def _results(
        self, client: RunwareClient, rows: list[dict[str, Any]]
    ) -> list[dict[str, Any]]:
        """Return the results of the rows. It runs in the event loop."""
        tasks = [await self._submitted(client, row) for row in rows]  # all are in flight at once
        return [await self._row(task) for task in tasks]

    async def _submitted(
        self, client: RunwareClient, row: dict[str, Any]
    ) -> UpscaleTask | RunwareError:
        try:
            image, key = _image_of(row)
            return await client.submit(image, idempotency_key=key, **self._options)
        except (AuthenticationError, ClientClosedError):
            raise
        except RunwareError as error:
            return error

    async def _row(self, task: UpscaleTask | RunwareError) -> dict[str, Any]:
        if isinstance(task, RunwareError):
            return {"error": _text_of(task)}
        try:
            result = await task.result()
            row: dict[str, Any] = {"task_uuid": task.task_uuid, "cost": result.cost}
            if self._output == "url":
                row["url"] = result.image_url
            else:
                row["image"] = await result.read()
            result.ack()
            return row
        except (AuthenticationError, ClientClosedError):
            raise
        except RunwareError as error:
            return {"task_uuid": task.task_uuid, "error": _text_of(error)}


def _image_of(row: Mapping[str, Any]) -> tuple[Any, str]:
    """Return the image and the idempotency key of a row."""
    name = next((one for one in _SOURCES if row.get(one) is not None), None)
    if name is None:
        raise InputError("image", "the row has none", f"fill one of {', '.join(_SOURCES)}")
    value = row[name]
    key = row.get("id")
    if key is None:
        key = value if name == "url" else CONTENT
    return (Path(value) if name == "path" else value), str(key)


def _plain(value: Any) -> Any:
    """Return a value of numpy or pandas as a Python value; None if it is missing."""
    if hasattr(value, "item"):
        value = value.item()
    is_missing = value is None or value != value  # NaN  # noqa: PLR0124
    return None if is_missing else value


def _text_of(error: RunwareError) -> str:
    return f"{type(error).__name__}: {error}"


def _as_arrays(columns: dict[str, list[Any]]) -> dict[str, Any]:
    """Return columns as numpy arrays if numpy is installed. Ray Data also accepts lists."""
    try:
        import numpy as np
    except ImportError:
        return columns
    arrays = {name: np.empty(len(values), dtype=object) for name, values in columns.items()}
    for name, values in columns.items():
        arrays[name][:] = values
    return cast("dict[str, Any]", arrays)
