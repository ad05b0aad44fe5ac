"""The drawing of a trace: one line per span, with the tree on the left and the time axis on the right."""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from shared.printable import printable
from shared.telemetry.recorded_spans import Line, Span, duration, extent, tree

COLOURS = {"pricing-api": "cyan", "pricing-listener": "magenta", "pricing-worker": "green"}
OTHER, FAILED = "yellow", "bold red"
AXIS_CELLS = range(20, 61)
DURATION_CELLS = 8


def draw(spans: Sequence[Span], width: int) -> RenderableType:
    """The trace for a terminal of this width; `·` marks the wait of a message in its queue."""
    begin, end = extent(spans)
    cells = min(max(width - 90, AXIS_CELLS.start), AXIS_CELLS.stop - 1)
    table = Table.grid(padding=(0, 1), expand=True)
    table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    table.add_column(no_wrap=True, width=cells)
    table.add_column(no_wrap=True, width=DURATION_CELLS, justify="right")
    table.add_row("", _axis(end - begin, cells), "")
    for line in tree(spans):
        span = line.span
        table.add_row(_label(line), _bar(span, begin, end, cells), duration(span.end_ns - span.start_ns))
        for note in _notes(span):
            table.add_row(Text(" " * len(line.guide) + "  ").append(note), "", "")
    return Group(_heading(spans, end - begin), Text(), table)


def _heading(spans: Sequence[Span], total_ns: int) -> Text:
    services = sorted({span.service for span in spans})
    text = Text(f"trace {printable(spans[0].trace_id)}  {len(spans)} spans, {duration(total_ns)}  ")
    for service in services:
        text.append(f"■ {printable(service)}  ", COLOURS.get(service, OTHER))
    failed = sum(span.error is not None for span in spans)
    return text.append(f"{failed} failed", FAILED) if failed else text


def _label(line: Line) -> Text:
    span = line.span
    text = (
        Text()
        .append(line.guide, "dim")
        .append(printable(span.name), FAILED if span.error else COLOURS.get(span.service, OTHER))
    )
    for name, value in span.telling:
        text.append(f"  {name} ", "dim").append(printable(value))
    return text


def _notes(span: Span) -> list[Text]:
    notes = [Text(f"✗ {printable(span.error)}", FAILED)] if span.error else []
    return notes + [Text(f"↔ linked to trace {printable(link)}", "dim") for link in dict.fromkeys(span.links)]


def _bar(span: Span, begin: int, end: int, cells: int) -> Text:
    waited = _cell(span.start_ns - span.waited_ns, begin, end, cells)
    first, last = _cell(span.start_ns, begin, end, cells), _cell(span.end_ns, begin, end, cells)
    style = FAILED if span.error else COLOURS.get(span.service, OTHER)
    return Text(" " * waited).append("·" * (first - waited), "dim").append("━" * max(last - first, 1), style)


def _axis(total_ns: int, cells: int) -> Text:
    ends = "0", duration(total_ns)
    return Text(ends[0] + " " * (cells - len(ends[0]) - len(ends[1])) + ends[1], "dim")


def _cell(at: int, begin: int, end: int, cells: int) -> int:
    return min(round((at - begin) * cells / max(end - begin, 1)), cells - 1)
