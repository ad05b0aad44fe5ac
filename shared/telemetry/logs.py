"""Logs: structlog lines in one format, with the trace id of the work they belong to."""

import logging
import sys

import structlog
from opentelemetry import trace
from structlog.typing import EventDict, Processor, WrappedLogger

from shared.printable import indented, printable
from shared.settings import Settings

# Libraries whose lines duplicate the engine's, or repeat without end while a server is away.
QUIET = {
    "httpx": logging.WARNING,
    "psycopg.pool": logging.ERROR,
    "dramatiq.middleware.retries": logging.CRITICAL,
    "dramatiq.worker.WorkerThread": logging.CRITICAL,
    "dramatiq_abort": logging.CRITICAL,
    "opentelemetry": logging.CRITICAL,
    "alembic": logging.WARNING,
}


def configure(service: str, settings: Settings) -> None:
    """Send structlog's and the standard library's lines to standard error, in one format.

    Every line has `timestamp` (UTC), `level`, `service`, `event`, and within a trace its `trace_id`.
    """

    def add_service(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
        event["service"] = service
        return event

    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        add_service,
        _add_trace_id,
    ]
    renderer: list[Processor] = (
        [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
        if settings.log_format == "json"
        else [structlog.processors.format_exc_info, _escape, _console()]
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderer],
        )
    )
    logging.basicConfig(handlers=[handler], level=settings.log_level.upper(), force=True)
    for name, level in QUIET.items():
        logging.getLogger(name).setLevel(level)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def _console() -> structlog.dev.ConsoleRenderer:
    # Plain tracebacks: rich's print local variables, and with them passwords.
    return structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback)


def _escape(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Escape texts, so that no foreign text can imitate a log line; JSON escapes them by itself."""
    escaped = {name: printable(text) if isinstance(text, str) else text for name, text in event.items()}
    if "exception" in event:
        escaped["exception"] = indented(event["exception"]).rstrip("\n")
    return escaped


def _add_trace_id(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    context = trace.get_current_span().get_span_context()
    if context.is_valid and "trace_id" not in event:
        event["trace_id"] = f"{context.trace_id:032x}"
    return event
