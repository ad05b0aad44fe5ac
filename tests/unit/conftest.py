"""The spans that this process ends."""

from collections.abc import Iterator

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ParentBased

from shared.telemetry.tracing import RootSampler


@pytest.fixture(scope="session")
def span_exporter() -> InMemorySpanExporter:
    """Takes every recorded span. OpenTelemetry allows one provider a process."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(sampler=ParentBased(RootSampler(1)))
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    return exporter


@pytest.fixture
def spans(span_exporter: InMemorySpanExporter) -> Iterator[InMemorySpanExporter]:
    """The same, with the spans of one test."""
    span_exporter.clear()
    yield span_exporter
    span_exporter.clear()
