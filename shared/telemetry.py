"""Traces: the tracer provider of a process, and who decides what is sampled."""

import os
from collections.abc import Sequence

from opentelemetry import trace
from opentelemetry.context import Context, create_key, get_value, set_value
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, ParentBased, SamplingResult, TraceIdRatioBased
from opentelemetry.trace import Link, SpanKind, TraceState
from opentelemetry.util.types import Attributes

from shared.settings import Settings

tracer = trace.get_tracer("pricing")

_SAMPLED = create_key("pricing-sampled")
EXPORT_TIMEOUT_S = 1


class RootSampler(TraceIdRatioBased):
    """Samples root spans at a ratio, but price queries, of which the API has decided before, always."""

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        """Decide by the mark that `sampled` leaves in the context."""
        decide = ALWAYS_ON.should_sample if get_value(_SAMPLED, parent_context) else super().should_sample
        return decide(parent_context, trace_id, name, kind, attributes, links, trace_state)


def sampled(context: Context) -> Context:
    """Mark a context: a root span started in it is recorded, whatever the ratio."""
    return set_value(_SAMPLED, True, context)


def configure(service: str, settings: Settings, exporter: SpanExporter | None = None) -> TracerProvider:
    """Install the process's tracer provider; call after every fork, and `shutdown()` it at the end.

    Spans are exported by OTLP over HTTP to where OpenTelemetry's own variables say; with neither
    `OTEL_EXPORTER_OTLP_ENDPOINT` nor `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` set they go nowhere.
    A caller's sampled flag is honoured.

    Args:
        service: `pricing-api`, `pricing-worker` or `pricing-listener`.
        settings: Gives the sampling ratios.
        exporter: Takes the spans in place of OTLP; for tests.
    """
    root = RootSampler(settings.trace_write_ratio)
    provider = TracerProvider(sampler=ParentBased(root), resource=Resource.create({"service.name": service}))
    if exporter is None and _has_collector():
        exporter = OTLPSpanExporter(timeout=EXPORT_TIMEOUT_S)
    if exporter is not None:
        provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=500))
    trace.set_tracer_provider(provider)
    return provider


def current_trace_id() -> str:
    """The trace id of the current span as 32 hex digits; all zeros where there is none."""
    return f"{trace.get_current_span().get_span_context().trace_id:032x}"


def _has_collector() -> bool:
    return any(os.environ.get(f"OTEL_EXPORTER_OTLP_{name}ENDPOINT") for name in ("", "TRACES_"))
