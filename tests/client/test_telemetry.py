"""Traces and metrics, as the exporters of the OpenTelemetry SDK get them."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import HistogramDataPoint, InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from runware_ws import RunwareClient, ServerError
from runware_ws.emulator import Emulator
from runware_ws.emulator.faults import Fail
from runware_ws.sync import RunwareClient as BlockingClient
from runware_ws.telemetry import Telemetry
from tests.emulator.bench import picture
from tests.support.answers import error
from tests.support.clients import IMAGE, client_of, outcome_of, served, submitted
from tests.support.connection import silent
from tests.support.scripted import ScriptedServer, drops_a_task, replying

pytestmark = pytest.mark.anyio


@dataclass
class Exported:
    """A telemetry, and all that it exports."""

    spans_in_memory: InMemorySpanExporter = field(default_factory=InMemorySpanExporter)
    reader: InMemoryMetricReader = field(default_factory=InMemoryMetricReader)

    def __post_init__(self) -> None:
        self.tracers = TracerProvider()
        self.tracers.add_span_processor(SimpleSpanProcessor(self.spans_in_memory))
        self.meters = MeterProvider([self.reader])
        self.telemetry = Telemetry(tracer_provider=self.tracers, meter_provider=self.meters)

    @property
    def spans(self) -> list[ReadableSpan]:
        return list(self.spans_in_memory.get_finished_spans())

    def points(self, metric: str) -> list[Any]:
        data = self.reader.get_metrics_data()
        return [
            point
            for resource in (data.resource_metrics if data else ())
            for scope in resource.scope_metrics
            for one in scope.metrics
            if one.name == metric
            for point in one.data.data_points
        ]

    def values(self, metric: str) -> dict[str, float]:
        """The values of a metric by its own attribute, or "" if it has none."""
        found = {}
        for point in self.points(metric):
            attributes = dict(point.attributes)
            assert attributes.pop("server.address") == "127.0.0.1"
            found["".join(str(value) for value in attributes.values())] = point.value
        return found


@pytest.fixture
def exported() -> Iterator[Exported]:
    exported = Exported()
    yield exported
    exported.meters.shutdown()
    exported.tracers.shutdown()


async def test_each_task_is_a_span_below_that_of_its_caller(exported: Exported) -> None:
    with ScriptedServer() as server:
        client = client_of(server)
        exported.telemetry.watch(client)
        async with client:
            with exported.tracers.get_tracer("program").start_as_current_span("request") as outer:
                done = await client.upscale(IMAGE)
            await client.run({"taskType": "modelSearch", "search": "portrait"})
            port = server.port
    upscale, other = (span for span in exported.spans if span.kind is SpanKind.CLIENT)
    assert (upscale.name, other.name) == ("upscale", "modelSearch")
    assert upscale.parent == outer.get_span_context()
    assert other.parent is None
    assert dict(upscale.attributes or {}) == {
        "server.address": "127.0.0.1",
        "server.port": port,
        "network.protocol.name": "websocket",
        "runware.task.uuid": done.task_uuid,
        "runware.task.attempt": 1,
        "runware.task.attempt.uuid": done.task_uuid,
    }
    assert upscale.status.status_code is StatusCode.UNSET
    assert upscale.start_time is not None
    assert upscale.end_time is not None
    assert upscale.start_time <= upscale.end_time


async def test_a_retry_is_linked_to_the_attempt_before_it(exported: Exported) -> None:
    async with (
        Emulator(faults=[Fail(nth=1, code="internalServerError")]) as emulator,
        RunwareClient(emulator.api_key, url=emulator.url) as client,
    ):
        exported.telemetry.watch(client)
        done = await client.upscale(picture(), include_cost=True)
        assert exported.values("runware.retries") == {"": 1}
        assert exported.values("runware.cost") == {"": pytest.approx(done.cost)}
    first, second = exported.spans
    assert first.attributes is not None
    assert second.attributes is not None
    assert first.attributes["error.type"] == "internalServerError"
    assert first.status.status_code is StatusCode.ERROR
    assert [link.context for link in second.links] == [first.get_span_context()]
    assert second.status.status_code is StatusCode.UNSET
    uuids = [span.attributes["runware.task.attempt.uuid"] for span in (first, second)]  # type: ignore[index]  # seen above
    assert tuple(uuids) == done.attempt_uuids
    assert second.attributes["runware.task.attempt"] == 2
    assert second.attributes["runware.cost"] == done.cost


async def test_a_failure_is_told_with_its_code(exported: Exported) -> None:
    refuses = replying(lambda task: {"errors": [error("internalServerError", task)]})
    async with served(refuses, max_retries=0) as (_, client):
        exported.telemetry.watch(client)
        with pytest.raises(ServerError):
            await client.upscale(IMAGE)
        (task,) = await submitted(client, 1, timeout=0.001)
        await outcome_of(task)
        outcomes = exported.values("runware.tasks")
    failed = exported.spans[0]
    assert failed.attributes is not None
    assert failed.attributes["error.type"] == "internalServerError"
    assert "internalServerError" in (failed.status.description or "")
    assert sum(outcomes.values()) == 2
    assert outcomes["ServerError"] >= 1


async def test_durations_are_in_a_histogram(exported: Exported) -> None:
    async with served() as (_, client):
        exported.telemetry.watch(client)
        results = [await client.upscale(IMAGE) for _ in range(3)]
        (point,) = exported.points("runware.task.duration")
    assert isinstance(point, HistogramDataPoint)
    assert point.count == 3
    assert point.sum == pytest.approx(sum(one.seconds or 0 for one in results))
    assert point.explicit_bounds[0] == 0.1


async def test_what_is_in_flight_and_may_be_is_told(exported: Exported) -> None:
    async with served(silent, max_in_flight=7) as (server, client):
        exported.telemetry.watch(client)
        await submitted(client, 2)
        await server.until(lambda: len(server.tasks) == 2)
        client.stats()
        in_flight = exported.values("runware.tasks.in_flight")
        assert sum(in_flight.values()) == 2
        assert exported.values("runware.tasks.limit") == {"": client.stats().limit}
        io = exported.values("runware.io")
        assert io["receive"] == client.stats().bytes_received > 0
        assert io["transmit"] == client.stats().bytes_sent
        assert io["transmit"] > sum(len(frame) for frame in server.frames[1:])


async def test_reconnects_and_the_ends_of_doubts_are_told(exported: Exported) -> None:
    async with served(drops_a_task) as (_, client):
        exported.telemetry.watch(client)
        await client.upscale(IMAGE)
        assert exported.values("runware.reconnects") == {"": 1}
        doubts = {
            end: number for end, number in exported.values("runware.doubts").items() if number
        }
    assert list(doubts.values()) == [1]
    assert set(doubts) == set(client.stats().recovered)


async def test_a_result_that_is_lost_is_a_doubt_that_ended_badly(exported: Exported) -> None:
    async with served(drops_a_task, on_doubt="fail") as (_, client):
        exported.telemetry.watch(client)
        (task,) = await submitted(client, 1)
        await outcome_of(task)
        assert exported.values("runware.doubts")["lost"] == 1
        assert exported.values("runware.tasks") == {"ResultLostError": 1}


async def test_counts_of_several_clients_add_up_and_outlive_them(exported: Exported) -> None:
    with ScriptedServer() as server:

        async def use_one() -> None:
            async with client_of(server) as client:
                exported.telemetry.watch(client)
                exported.telemetry.watch(client)
                await client.upscale(IMAGE)

        for _ in range(3):
            await use_one()
        before = exported.values("runware.io")
        gc.collect()
        assert exported.values("runware.tasks") == {"success": 3}
        assert exported.values("runware.io") == before


def test_the_blocking_client_is_watched_too(exported: Exported) -> None:
    tracer = exported.tracers.get_tracer("program")
    with ScriptedServer() as server, BlockingClient("key", url=server.url) as client:
        exported.telemetry.watch(client)
        with tracer.start_as_current_span("request") as outer:
            list(client.upscale_many([IMAGE, IMAGE]))
            client.upscale(IMAGE)
    spans = [span for span in exported.spans if span.kind is SpanKind.CLIENT]
    assert [span.parent for span in spans] == [outer.get_span_context()] * 3
