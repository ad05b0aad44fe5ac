"""A trace as a chart: its spans as a tree on a time axis, as `just trace` draws it."""

from collections.abc import Sequence
from typing import NamedTuple

from shared.telemetry.recorded_spans import Span, duration, extent, tree

NARROWEST = 0.4


class Row(NamedTuple):
    """A span; places are in percent of the axis.

    Attributes:
        guide: The drawing of the tree on its left.
        waits: Where the wait of its message in the queue begins.
        links: The ids of other traces that it is linked to.
    """

    span: Span
    guide: str
    kind: str
    waits: float
    left: float
    width: float
    lasted: str
    links: tuple[str, ...]


class TraceChart(NamedTuple):
    """A trace; `kinds` are its services, without the name that all have in common."""

    rows: list[Row]
    kinds: list[str]
    lasted: str
    failed: int


def trace_chart(spans: Sequence[Span]) -> TraceChart | None:
    """The chart of a trace; None: there are no spans."""
    if not spans:
        return None
    begin, end = extent(spans)

    def place(at_ns: int) -> float:
        return round(100 * (at_ns - begin) / max(end - begin, 1), 2)

    rows = []
    for span, guide in ((line.span, line.guide) for line in tree(spans)):
        left = min(place(span.start_ns), 100 - NARROWEST)
        rows.append(
            Row(
                span=span,
                guide=guide,
                kind=_kind(span),
                waits=place(span.start_ns - span.waited_ns),
                left=left,
                width=round(max(place(span.end_ns) - left, NARROWEST), 2),
                lasted=duration(span.end_ns - span.start_ns),
                links=tuple(dict.fromkeys(span.links)),
            )
        )
    kinds = sorted({row.kind for row in rows})
    return TraceChart(rows, kinds, duration(end - begin), sum(span.error is not None for span in spans))


def _kind(span: Span) -> str:
    return span.service.removeprefix("pricing-")
