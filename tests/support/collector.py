"""An OTLP collector of the tests' own, over HTTP and gRPC: real protobuf, spans kept as plain records."""

import gzip
import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as grpc_service
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status


@dataclass(frozen=True)
class CollectedSpan:
    """One exported span; ids are hex, times are ns, `parent_id` is empty for a root.

    Attributes:
        kind: As OTLP names it: `SERVER`, `CLIENT`, `PRODUCER`, `CONSUMER` or `INTERNAL`.
        exceptions: The types of those that were recorded.
        links: The ids of the traces that it links to.
    """

    service: str
    name: str
    kind: str
    trace_id: str
    span_id: str
    parent_id: str
    start_ns: int
    end_ns: int
    attributes: dict[str, str]
    is_error: bool
    exceptions: tuple[str, ...]
    links: tuple[str, ...]


class Collector:
    """Listens on free ports of the loopback address."""

    def __init__(self) -> None:
        self._spans: list[CollectedSpan] = []
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self._grpc = grpc.server(ThreadPoolExecutor(2))
        register = grpc_service.add_TraceServiceServicer_to_server
        register(self._servicer(), self._grpc)  # type: ignore[no-untyped-call] # generated, without types
        self._grpc_port = self._grpc.add_insecure_port("127.0.0.1:0")
        self._grpc.start()

    @property
    def endpoint(self) -> str:
        """For OTEL_EXPORTER_OTLP_ENDPOINT."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def grpc_endpoint(self) -> str:
        """The same, where OTEL_EXPORTER_OTLP_PROTOCOL is `grpc`."""
        return f"http://127.0.0.1:{self._grpc_port}"

    def trace(self, trace_id: str) -> list[CollectedSpan]:
        """The spans of a trace so far, by start."""
        with self._lock:
            return sorted((s for s in self._spans if s.trace_id == trace_id), key=lambda s: s.start_ns)

    def spans(self) -> list[CollectedSpan]:
        """All spans so far."""
        with self._lock:
            return list(self._spans)

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._grpc.stop(grace=None).wait()

    def _keep(self, request: ExportTraceServiceRequest) -> None:
        with self._lock:
            for resource in request.resource_spans:
                service = _attributes(resource.resource.attributes)["service.name"]
                for scope in resource.scope_spans:
                    self._spans += [_collected(service, span) for span in scope.spans]

    def _servicer(self) -> Any:
        collector = self

        class Servicer(grpc_service.TraceServiceServicer):
            def Export(self, request: ExportTraceServiceRequest, context: Any) -> ExportTraceServiceResponse:  # noqa: N802 # the service's name
                collector._keep(request)
                return ExportTraceServiceResponse()

        return Servicer()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                plain = gzip.decompress(body) if self.headers.get("content-encoding") == "gzip" else body
                collector._keep(ExportTraceServiceRequest.FromString(plain))
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 # the parent's name
                """Say nothing."""

        return Handler


def _collected(service: str, span: Span) -> CollectedSpan:
    exceptions = [_attributes(event.attributes) for event in span.events if event.name == "exception"]
    return CollectedSpan(
        service=service,
        name=span.name,
        kind=Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        start_ns=span.start_time_unix_nano,
        end_ns=span.end_time_unix_nano,
        attributes=_attributes(span.attributes),
        is_error=span.status.code == Status.STATUS_CODE_ERROR,
        exceptions=tuple(exception["exception.type"] for exception in exceptions),
        links=tuple(link.trace_id.hex() for link in span.links),
    )


def _attributes(pairs: Iterable[KeyValue]) -> dict[str, str]:
    return {pair.key: str(getattr(pair.value, pair.value.WhichOneof("value") or "string_value")) for pair in pairs}
