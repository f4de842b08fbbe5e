"""Traces and metrics of a client through the OpenTelemetry API, with the extra ``otel``.

    telemetry = Telemetry()  # with the providers that the program has configured
    async with RunwareClient() as client:
        telemetry.watch(client)

Each attempt of a task is a span of kind client, a child of the span in which the task was
submitted. The span of a retry has a link to the span of the previous attempt. Attributes and
metrics have the names of the semantic conventions, or begin with ``runware.`` if there is no
convention. All have the attribute ``server.address``.

| metric | kind | attributes |
|---|---|---|
| ``runware.task.duration`` | histogram, s | ``error.type`` of a failure |
| ``runware.tasks`` | counter | ``runware.outcome``: ``success``, or the class of the error |
| ``runware.tasks.in_flight`` | up-down counter | ``runware.task.state`` |
| ``runware.tasks.limit`` | up-down counter: number of tasks that may be in flight | |
| ``runware.retries``, ``runware.refusals`` | counter | |
| ``runware.doubts`` | counter | ``runware.doubt.end``: a key of `Stats.recovered`, or ``lost`` |
| ``runware.reconnects`` | counter | |
| ``runware.io`` | counter, By | ``network.io.direction`` |
| ``runware.cost`` | counter, USD | |

A client that is not watched has no overhead.
"""

from __future__ import annotations

import time
import weakref
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from urllib.parse import urlsplit

from ._version import __version__
from .errors import MissingExtraError, ResultLostError, RunwareError, TaskError
from .protocol.task_table import Counters
from .results import UpscaleResult
from .runtime.base_client import BaseClient
from .runtime.submission import Submission
from .sync import RunwareClient as BlockingClient

try:
    from opentelemetry.context import Context, get_current
    from opentelemetry.metrics import (
        CallbackOptions,
        Histogram,
        MeterProvider,
        Observation,
        get_meter,
    )
    from opentelemetry.trace import (
        Link,
        Span,
        SpanKind,
        Status,
        StatusCode,
        Tracer,
        TracerProvider,
        get_tracer,
    )
except ImportError:
    raise MissingExtraError("telemetry", "otel") from None

__all__ = ["Telemetry"]

Key = tuple[str, tuple[tuple[str, str], ...]]
"""A metric and its attributes."""

_NAME = "runware_ws"
_BUCKETS = (0.1, 0.25, 0.5, 1, 2, 3, 5, 7.5, 10, 20, 30, 60, 120, 300)
_COUNTERS = (
    ("runware.tasks", "{task}", "Tasks that were settled."),
    ("runware.retries", "{retry}", "Tasks that were run again after a failure."),
    ("runware.refusals", "{refusal}", "Tasks that were refused for lack of room."),
    ("runware.doubts", "{task}", "Tasks in doubt that were settled."),
    ("runware.reconnects", "{connection}", "Connections after the first."),
    ("runware.io", "By", "Content of the frames."),
    ("runware.cost", "USD", "Cost of the results."),
)
_LEVELS = (
    ("runware.tasks.in_flight", "{task}", "Tasks that are not settled."),
    ("runware.tasks.limit", "{task}", "Tasks that may be in flight."),
)
_STATES = ("queued", "sent", "accepted", "reconciling")
_TASK_TYPE = b'"taskType":"'


class Telemetry:
    """The traces and metrics of clients.

    Args:
        tracer_provider: the provider for spans. Default: the global one.
        meter_provider: the provider for metrics. Default: the global one.
    """

    def __init__(
        self,
        *,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
    ) -> None:
        self._tracer = get_tracer(_NAME, __version__, tracer_provider)
        self._watchers: dict[int, _Watcher] = {}
        self._former: Counter[Key] = Counter()  # the counts of deleted clients
        meter = get_meter(_NAME, __version__, meter_provider)
        self._duration = meter.create_histogram(
            "runware.task.duration",
            "s",
            "Time from the call to the outcome of a task.",
            explicit_bucket_boundaries_advisory=_BUCKETS,
        )
        for name, unit, description in _COUNTERS:
            callbacks = [partial(self._observe, name)]
            meter.create_observable_counter(name, callbacks, unit, description)
        for name, unit, description in _LEVELS:
            callbacks = [partial(self._observe, name)]
            meter.create_observable_up_down_counter(name, callbacks, unit, description)

    def watch(self, client: BaseClient | BlockingClient) -> None:
        """Watch a client from now on. It need not be open."""
        watched = client._original if isinstance(client, BlockingClient) else client
        name = id(watched)
        if name not in self._watchers:
            self._watchers[name] = _Watcher(watched, self._tracer, self._duration)
            watched._observe(self._watchers[name])
            weakref.finalize(watched, self._keep, name).atexit = False

    def _keep(self, name: int) -> None:
        """Keep the counts of a deleted client, because a counter must not decrease."""
        self._former.update(self._watchers.pop(name).counts())

    def _observe(self, name: str, _: CallbackOptions) -> Iterator[Observation]:
        """Yield a metric. It runs in the thread of the exporter."""
        total = Counter(self._former)
        for watcher in tuple(self._watchers.values()):
            total.update(watcher.counts())
            total.update(watcher.levels())
        for (metric, attributes), value in total.items():
            if metric == name:
                yield Observation(value, dict(attributes))


class _Watcher:
    """Watches one client, with a weak reference.

    Args:
        client: the client.
        tracer: makes the spans.
        duration: the histogram of durations.
    """

    def __init__(self, client: BaseClient, tracer: Tracer, duration: Histogram) -> None:
        self._client = weakref.ref(client)
        self._tracer = tracer
        self._duration = duration
        self._server = urlsplit(client._settings.url)
        self._address = self._server.hostname or ""
        self._spans: dict[str, Span] = {}
        self._parents: dict[str, Context] = {}
        self._counters: Counters | None = None
        self._outcomes: Counter[str] = Counter()

    # Called for each task, in the event loop of the client.

    def submitted(self, submission: Submission, waited: float) -> None:
        self._parents[submission.uuid] = get_current()
        self._begin(submission, time.time_ns() - int(waited * 1e9))

    def retried(self, submission: Submission, code: str) -> None:
        span = self._spans.pop(submission.uuid, None)
        if span is not None:
            _end(span, code)
            self._begin(submission, None, [Link(span.get_span_context())])

    def settled(self, submission: Submission, seconds: float | None) -> None:
        self._parents.pop(submission.uuid, None)
        outcome = submission.outcome
        error = outcome if isinstance(outcome, RunwareError) else None
        self._outcomes["success" if error is None else type(error).__name__] += 1
        error_type = "" if error is None else _type_of(error)
        if (span := self._spans.pop(submission.uuid, None)) is not None:
            if submission.found_by:
                span.set_attribute("runware.doubt.end", submission.found_by)
            if isinstance(outcome, UpscaleResult) and outcome.cost is not None:
                span.set_attribute("runware.cost", outcome.cost)
            _end(span, error_type, str(error or ""))
        if seconds is not None:
            attributes = {"error.type": error_type} if error_type else {}
            self._duration.record(seconds, {"server.address": self._address, **attributes})

    def _begin(
        self, submission: Submission, start_time: int | None, links: Sequence[Link] = ()
    ) -> None:
        attributes: dict[str, str | int] = {
            "server.address": self._address,
            "network.protocol.name": "websocket",
            "runware.task.uuid": submission.uuid,
            "runware.task.attempt": submission.attempts,
            "runware.task.attempt.uuid": submission.wire_uuid,
        }
        if self._server.port is not None:
            attributes["server.port"] = self._server.port
        self._spans[submission.uuid] = self._tracer.start_span(
            _type_of_task(submission.payload),
            self._parents.get(submission.uuid),
            SpanKind.CLIENT,
            attributes,
            links,
            start_time,
        )

    # Called by the exporter, in its own thread.

    def counts(self) -> Counter[Key]:
        """Return the counters. They are known even after the client was deleted."""
        client = self._client()
        if client is not None and client._submitter is not None:
            self._counters = client._submitter.session.counters
        counts: Counter[Key] = Counter()
        for outcome, number in self._outcomes.copy().items():
            counts[self._key("runware.tasks", ("runware.outcome", outcome))] = number
        counters = self._counters
        if counters is None:
            return counts
        doubts = {**counters.recovered, "lost": self._outcomes[ResultLostError.__name__]}
        for end, number in doubts.items():
            counts[self._key("runware.doubts", ("runware.doubt.end", end))] = number
        io = {"transmit": counters.bytes_sent, "receive": counters.bytes_received}
        for direction, number in io.items():
            counts[self._key("runware.io", ("network.io.direction", direction))] = number
        counts[self._key("runware.retries")] = counters.retried
        counts[self._key("runware.refusals")] = counters.refused
        counts[self._key("runware.reconnects")] = counters.reconnects
        counts[self._key("runware.cost")] = counters.cost  # type: ignore[assignment]  # dollars
        return counts

    def levels(self) -> Counter[Key]:
        """Return the up-down counters."""
        levels: Counter[Key] = Counter()
        client = self._client()
        if client is not None:
            stats = client.stats()
            for state in _STATES:
                key = self._key("runware.tasks.in_flight", ("runware.task.state", state))
                levels[key] = stats.tasks.get(state, 0)
            levels[self._key("runware.tasks.limit")] = stats.limit
        return levels

    def _key(self, metric: str, *attributes: tuple[str, str]) -> Key:
        return metric, (("server.address", self._address), *attributes)


def _end(span: Span, error_type: str, message: str = "") -> None:
    if error_type:
        span.set_attribute("error.type", error_type)
        span.set_status(Status(StatusCode.ERROR, message))
    span.end()


def _type_of(error: RunwareError) -> str:
    """Return the service's code of an error, or the name of its class if it has none."""
    return error.code if isinstance(error, TaskError) else type(error).__name__


def _type_of_task(payload: bytes | bytearray) -> str:
    """Return the taskType of an encoded task, which is its first member."""
    start = payload.find(_TASK_TYPE, 0, 40) + len(_TASK_TYPE)
    return payload[start : payload.index(b'"', start)].decode() if payload else "attach"
