"""Spans in the form in which they are drawn, from any storage."""

from collections.abc import Iterator, Mapping, Sequence

import msgspec

# The attributes that are drawn, in this order; a zero is left out.
TELLING = {
    "http.response.status_code": "status",
    "pricing.event_id": "event",
    "pricing.task_id": "task",
    "pricing.product_id": "product",
    "pricing.actor": "actor",
    "pricing.retries": "retry",
}


class Unavailable(Exception):
    """The trace cannot be read; the text has the reason and the remedy."""


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """One span; ids are hex, times ns since 1970, `parent_id` is empty for a root.

    Attributes:
        error: The reason of its failure; None: it did not fail.
        links: The ids of other traces that the span is linked to.
    """

    trace_id: str
    span_id: str
    parent_id: str
    service: str
    name: str
    start_ns: int
    end_ns: int
    attributes: Mapping[str, str] = {}
    error: str | None = None
    links: tuple[str, ...] = ()

    @property
    def waited_ns(self) -> int:
        """The time of its message in the queue, before the span."""
        return int(float(self.attributes.get("pricing.queue_wait_ms", 0)) * 1e6)

    @property
    def telling(self) -> list[tuple[str, str]]:
        """The names and values of the attributes that are drawn."""
        found = ((name, self.attributes.get(attribute, "0")) for attribute, name in TELLING.items())
        return [(name, value) for name, value in found if value != "0"]


class Line(msgspec.Struct, frozen=True):
    """A span in the tree; `guide` is the drawing on its left."""

    span: Span
    guide: str


def extent(spans: Sequence[Span]) -> tuple[int, int]:
    """The instants between which a trace is drawn, with the waits in its queues."""
    return min(span.start_ns - span.waited_ns for span in spans), max(span.end_ns for span in spans)


def duration(ns: int) -> str:
    """A duration: 12.3 ms, 4.56 s."""
    return f"{ns / 1e9:.2f} s" if ns >= 1e9 else f"{ns / 1e6:.1f} ms"


def tree(spans: Sequence[Span]) -> list[Line]:
    """Every span below its parent, siblings by their start; a span whose parent is missing is a root."""
    known = {span.span_id for span in spans}
    children: dict[str, list[Span]] = {}
    for span in sorted(spans, key=lambda span: (span.start_ns, span.end_ns)):
        children.setdefault(span.parent_id if span.parent_id in known else "", []).append(span)
    return [line for root in children.get("", ()) for line in _lines(root, children, "", "")]


def _lines(span: Span, children: Mapping[str, Sequence[Span]], guide: str, below: str) -> Iterator[Line]:
    yield Line(span, guide)
    mine = children.get(span.span_id, ())
    for child in mine:
        is_last = child is mine[-1]
        yield from _lines(child, children, below + ("└─ " if is_last else "├─ "), below + ("   " if is_last else "│  "))
