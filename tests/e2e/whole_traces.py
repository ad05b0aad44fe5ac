"""Whole traces out of the collector: every span of one, with its parent."""

from collections.abc import Iterable, Sequence

from tests.support.collector import CollectedSpan, Collector
from tests.support.waiting import eventually


def outline(spans: Iterable[CollectedSpan]) -> str:
    return "\n".join(f"{span.span_id} below {span.parent_id or '-':16} {span.service}: {span.name}" for span in spans)


def whole_trace(collector: Collector, trace_id: str, *names: str, caller: str = "") -> list[CollectedSpan]:
    """The spans of a trace once it has all of these and every span's parent is there.

    Args:
        collector: Where they are.
        trace_id: Which trace.
        names: Span names; one given twice is to be there twice.
        caller: The span above the first one, which somebody else exports; empty: there is none.
    """
    found: list[CollectedSpan] = []

    def look() -> bool:
        found[:] = collector.trace(trace_id)
        ids = {span.span_id for span in found} | {caller}
        present = [span.name for span in found]
        return all(span.parent_id in ids for span in found) and all(
            present.count(name) >= names.count(name) for name in names
        )

    try:
        eventually(look, f"trace {trace_id} with {names}")
    except AssertionError as error:
        raise AssertionError(f"{error}\n{outline(found)}") from None
    return found


def root_of(spans: Iterable[CollectedSpan], caller: str = "") -> CollectedSpan:
    """The one span of a trace that has no parent of ours."""
    (root,) = (span for span in spans if span.parent_id == caller)
    return root


def the(spans: Sequence[CollectedSpan], name: str, service: str) -> CollectedSpan:
    """The only span of this name in this service."""
    (span,) = (span for span in spans if (span.name, span.service) == (name, service))
    return span


def kind_of(span: CollectedSpan) -> str:
    return {"SERVER": "http", "CLIENT": "database", "INTERNAL": "internal"}.get(span.kind, "messaging")
