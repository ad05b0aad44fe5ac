"""A trace as a chart: places in percent of its axis."""

from api.console.trace_chart import trace_chart
from tests.unit.deploy.test_trace_drawing import span


def test_spans_stand_where_their_time_is_with_the_wait_before() -> None:
    waiting = span("work", "root", 60, 80, service="pricing-worker", attributes={"pricing.queue_wait_ms": "20"})
    chart = trace_chart([span("root"), waiting])
    assert chart is not None
    root, work = chart.rows
    assert (root.left, root.width, root.guide, root.lasted) == (0, 100, "", "100.0 ms")
    assert (work.waits, work.left, work.width, work.guide, work.kind) == (40, 60, 20, "└─ ", "worker")
    assert (chart.kinds, chart.failed) == (["api", "worker"], 0)


def test_a_span_without_a_length_is_seen_also_at_the_end() -> None:
    chart = trace_chart([span("root"), span("last", "root", 100, 100, error="E: refused", links=("b", "b"))])
    assert chart is not None
    last = chart.rows[1]
    assert last.left + last.width == 100
    assert (last.width > 0, last.links, chart.failed) == (True, ("b",), 1)


def test_there_is_no_chart_without_spans() -> None:
    assert trace_chart([]) is None
