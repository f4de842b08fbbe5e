"""A report on many images: one self-contained page with each image before and after."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..batch import Outcome

if TYPE_CHECKING:
    from .entries import ReportEntry

__all__ = ["report"]


def report(
    outcomes: Iterable[Outcome[Any] | ReportEntry],
    path: str | os.PathLike[str],
    *,
    title: str = "Upscaled images",
) -> Path:
    """Write a page that shows each image before and after, and each failure with its reason.

    The page is one file that works without a network. With Pillow (extra ``images``) it contains
    thumbnails with links to the original files, so save the results first: see
    `UpscaleResult.save`. Without Pillow it shows the original files. Nothing is downloaded.

    It blocks: in an event loop, call it in a thread, for example with `anyio.to_thread.run_sync`.

    Args:
        outcomes: outcomes of `RunwareClient.upscale_many`, asynchronous or blocking. They are read
            a few at a time.
        path: path of the page. It is written atomically.
        title: title of the page.

    Returns:
        The path.

    Raises:
        OSError: the page cannot be written.
    """
    from .page import write_page  # which needs more modules than a client does

    return write_page(outcomes, Path(path), title)
