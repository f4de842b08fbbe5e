"""This package, watched by its telemetry: with OpenTelemetry's API alone, or with its SDK."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from runware_ws.telemetry import Telemetry

from ..job import Job
from .base import Api
from .ours import open_with

__all__ = ["open_client"]


class _Nowhere(SpanExporter):
    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return SpanExportResult.SUCCESS


@asynccontextmanager
async def open_client(job: Job) -> AsyncIterator[Api]:
    """Spans are batched as a program would have it, and go nowhere."""
    telemetry = Telemetry()
    if job.client == "ours-otel-on":
        tracers = TracerProvider()
        tracers.add_span_processor(BatchSpanProcessor(_Nowhere()))
        meters = MeterProvider([InMemoryMetricReader()])
        telemetry = Telemetry(tracer_provider=tracers, meter_provider=meters)
    async with open_with(job, watch=telemetry.watch) as api:
        yield api
