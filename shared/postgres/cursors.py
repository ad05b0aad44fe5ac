"""Cursors that record their statements as spans, within a recorded trace only."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

from opentelemetry import trace
from opentelemetry.instrumentation.utils import is_instrumentation_enabled
from opentelemetry.trace import SpanKind
from psycopg import AsyncCursor, Cursor
from psycopg.abc import Params, QueryNoTemplate
from psycopg.rows import DictRow

from shared.telemetry.tracing import tracer

LONGEST_TEXT = 500
_WRITE = re.compile(r"\b(INSERT INTO|DELETE FROM|(?<!DO )(?<!FOR )UPDATE) (\w+)")
_READ = re.compile(r"\bFROM (\w+)\b(?! *\()")


class TracedCursor(Cursor[DictRow]):
    """The cursor of the workers, the listener and the API's writes."""

    def execute(  # type: ignore[override] # without template strings
        self, query: QueryNoTemplate, params: Params | None = None, **options: bool | None
    ) -> Self:
        """As in psycopg, within a span."""
        with _span(query):
            return super().execute(query, params, **options)


class AsyncTracedCursor(AsyncCursor[DictRow]):
    """The cursor of the read path."""

    async def execute(  # type: ignore[override] # without template strings
        self, query: QueryNoTemplate, params: Params | None = None, **options: bool | None
    ) -> Self:
        """As in psycopg, within a span."""
        with _span(query):
            return await super().execute(query, params, **options)


@contextmanager
def _span(query: QueryNoTemplate) -> Iterator[None]:
    # A pool checks its connections with an empty statement.
    is_recorded = trace.get_current_span().is_recording() and is_instrumentation_enabled()
    if not isinstance(query, str) or not query or not is_recorded:
        yield
        return
    # Values are parameters: the text contains none.
    text = " ".join(query.split())
    summary = _summary(text)
    attributes: dict[str, Any] = {
        "db.system.name": "postgresql",
        "db.operation.name": summary.partition(" ")[0],
        "db.query.summary": summary,
        "db.query.text": text[:LONGEST_TEXT],
    }
    with tracer.start_as_current_span(summary, kind=SpanKind.CLIENT, attributes=attributes):
        yield


def _summary(text: str) -> str:
    """The operation and the table of a statement: `UPDATE market_events`."""
    if write := _WRITE.search(text):
        return f"{write[1].partition(' ')[0]} {write[2]}"
    read = _READ.search(text)
    return " ".join(part for part in (text.partition(" ")[0], read and read[1]) if part)
