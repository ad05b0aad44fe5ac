"""Traces: the tracer provider of a process, and its sampling."""

import os
import socket
from collections.abc import Sequence

from opentelemetry import trace
from opentelemetry.context import Context, create_key, get_value, set_value
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, ParentBased, SamplingResult, TraceIdRatioBased
from opentelemetry.trace import Link, SpanKind, TraceState
from opentelemetry.util.types import Attributes

from shared import VERSION
from shared.settings import TRACE_FOLDER, Settings
from shared.telemetry.exporters import EXPORT_TIMEOUT_S, BoundedSpanProcessor, FileSpanExporter
from shared.telemetry.metrics import PROCESSES

tracer = trace.get_tracer("pricing")

_SAMPLED = create_key("pricing-sampled")


class RootSampler(TraceIdRatioBased):
    """Samples root spans at a ratio; always samples those that the API has marked, its price queries."""

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
        """Decide by the mark that `sampled` sets in the context."""
        decide = ALWAYS_ON.should_sample if get_value(_SAMPLED, parent_context) else super().should_sample
        return decide(parent_context, trace_id, name, kind, attributes, links, trace_state)


def sampled(context: Context) -> Context:
    """Mark a context: a root span started in it is recorded, whatever the ratio."""
    return set_value(_SAMPLED, True, context)


def configure(service: str, settings: Settings, exporter: SpanExporter | None = None) -> TracerProvider:
    """Install the process's tracer provider. Call it in each process, after its fork; `shutdown()` it at the end.

    OpenTelemetry's own variables configure the export: by OTLP over HTTP or, with
    `OTEL_EXPORTER_OTLP_PROTOCOL=grpc`, over gRPC. With neither `OTEL_EXPORTER_OTLP_ENDPOINT` nor
    `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` set, spans are written to files in `traces` below the home. With
    `OTEL_TRACES_EXPORTER=none` they are not exported. A caller's sampled flag is honoured.

    Args:
        service: `pricing-api`, `pricing-worker` or `pricing-listener`.
        settings: Contains the sampling ratio.
        exporter: Replaces the configured exporter; for tests.
    """
    # The current names of attributes for Redis spans, as for all other spans here.
    os.environ.setdefault("OTEL_SEMCONV_STABILITY_OPT_IN", "database")
    root = RootSampler(settings.trace_write_ratio)
    provider = TracerProvider(sampler=ParentBased(root), resource=resource_of(service))
    PROCESSES.labels(service, VERSION).set(1)
    exporter = exporter or _chosen(service, settings)
    if exporter is not None:
        provider.add_span_processor(BoundedSpanProcessor(exporter, to=_otlp("ENDPOINT") or TRACE_FOLDER))
    trace.set_tracer_provider(provider)
    return provider


def resource_of(service: str) -> Resource:
    """The resource of a process's spans: service, version and host; `OTEL_RESOURCE_ATTRIBUTES` may name another host.

    Without a host, Jaeger puts a clock-skew warning on consumer spans.
    """
    host = Resource({"host.name": socket.gethostname()})
    return host.merge(Resource.create({"service.name": service, "service.version": VERSION}))


def current_trace_id() -> str:
    """The trace id of the current span as 32 hex digits; all zeros where there is none."""
    return f"{trace.get_current_span().get_span_context().trace_id:032x}"


def _chosen(service: str, settings: Settings) -> SpanExporter | None:
    if os.environ.get("OTEL_TRACES_EXPORTER") == "none":
        return None
    if not _otlp("ENDPOINT"):
        return FileSpanExporter(settings.home_dir / TRACE_FOLDER, service)
    # Imported on demand: each has its own transport, whose import takes a tenth of a second.
    if _otlp("PROTOCOL") == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter

        return GrpcExporter(timeout=EXPORT_TIMEOUT_S)
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter

    return HttpExporter(timeout=EXPORT_TIMEOUT_S)


def _otlp(name: str) -> str:
    """One of OpenTelemetry's own variables: the one for traces, else the general one."""
    return os.environ.get(f"OTEL_EXPORTER_OTLP_TRACES_{name}") or os.environ.get(f"OTEL_EXPORTER_OTLP_{name}", "")
