"""Write the page of a report after all its entries are described."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from html import escape
from importlib.resources import files
from itertools import count, islice
from pathlib import Path
from typing import Any

from ..batch import Outcome
from ..runtime.files import write_atomically
from .entries import ReportEntry, entry_of

_BATCH_SIZE = 32
_MARK = re.compile(r"\{(policy|style|script|title|data)\}")


def write_page(outcomes: Iterable[Outcome[Any] | ReportEntry], target: Path, title: str) -> Path:
    """Write the page atomically, and return its path."""
    described: list[str] = []
    describe = partial(_described, folder=target.parent)
    entries = _entries(outcomes)
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        while some := list(islice(entries, _BATCH_SIZE)):
            described += threads.map(describe, some)
    data = ",\n".join(described)
    page = _page(title, f"[{data}]")
    target.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(target, page.encode())
    return target


def _entries(outcomes: Iterable[Outcome[Any] | ReportEntry]) -> Iterator[ReportEntry]:
    numbers = count(1)
    for outcome in outcomes:
        number = next(numbers)
        yield outcome if isinstance(outcome, ReportEntry) else entry_of(outcome, number)


def _described(entry: ReportEntry, folder: Path) -> str:
    """Return an entry as JSON that is safe in a page, because no markup can begin in it."""
    return json.dumps(entry.described(folder)).replace("<", "\\u003c")


def _page(title: str, data: str) -> str:
    parts = {name: _part(f"page.{name}") for name in ("html", "css", "js")}
    # Other content, in a frame or after an injection, cannot run scripts.
    policy = (
        "default-src 'none'; img-src 'self' data: file: http: https:; "
        f"style-src {_hash_of(parts['css'])}; script-src {_hash_of(parts['js'])}; base-uri 'none'"
    )
    values = {
        "policy": policy,
        "style": parts["css"],
        "script": parts["js"],
        "title": escape(title),
        "data": data,
    }
    return _MARK.sub(lambda mark: values[mark[1]], parts["html"])


def _part(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def _hash_of(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
