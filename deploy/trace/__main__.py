"""`python -m deploy.trace`: draw a trace in the terminal."""

import os
import sys
import time
from pathlib import Path

import click
from rich.console import Console

from deploy import home as pricing_home
from deploy.compose.addresses import port
from deploy.native import environment, programs
from deploy.running import running
from deploy.trace.drawing import draw
from deploy.trace.jaeger import Jaeger
from shared.printable import printable
from shared.settings import TRACE_FOLDER
from shared.telemetry.recorded_spans import Span, Unavailable
from shared.telemetry.trace_files import TraceFiles

WIDTH = 150  # where the output is not a terminal
# Spans arrive half a second after their end.
WAIT_S, POLL_S = 3.0, 0.25


@click.command()
@click.argument("trace_id", required=False)
@click.option("--jaeger", metavar="URL", help="Read from this Jaeger instead of the stack's.")
@click.option("--svg", type=click.Path(dir_okay=False, path_type=Path), help="Also write a picture to this file.")
def main(trace_id: str | None, jaeger: str | None, svg: Path | None) -> None:
    """Draw a trace as a tree on a time axis: TRACE_ID, else the latest market event's.

    The API's responses have the trace id in the header `traceresponse`; problem documents and log lines have it in
    `trace_id`. The spans come from the stack's Jaeger, or from its files where it has no Jaeger.
    """
    try:
        storage = Jaeger(jaeger) if jaeger else _storage()
        spans = _complete(storage, trace_id or storage.latest_event())
    except Unavailable as error:
        raise click.ClickException(printable(str(error))) from None
    console = Console(record=svg is not None, highlight=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = WIDTH
    console.print(draw(spans, console.width))
    if svg:
        console.save_svg(str(svg), title="just trace")


def _storage() -> TraceFiles | Jaeger:
    home = pricing_home.locate(os.environ)
    if "docker" in running():
        return Jaeger(f"http://127.0.0.1:{port('JAEGER_PORT')}")
    endpoint = environment.load(home).get("OTEL_EXPORTER_OTLP_ENDPOINT")
    if endpoint == programs.JAEGER_OTLP:
        return Jaeger(programs.JAEGER_UI)
    if endpoint:
        raise Unavailable(f"This stack sends its spans to {endpoint}: look there, or give --jaeger URL.")
    return TraceFiles(home / TRACE_FOLDER)


def _complete(storage: TraceFiles | Jaeger, trace_id: str) -> list[Span]:
    """The spans of a trace; waits for a while until the parents of all spans have arrived."""
    deadline = time.monotonic() + WAIT_S
    while True:
        spans = storage.trace(trace_id.lower())
        ids = {span.span_id for span in spans}
        orphans = sum(span.parent_id not in ids for span in spans)
        if orphans == 1:
            return spans
        if time.monotonic() > deadline:
            if spans:
                return spans
            raise Unavailable(f"There are no spans of trace {trace_id}: it was not sampled, or its spans were deleted.")
        time.sleep(POLL_S)


if __name__ == "__main__":
    sys.exit(main(prog_name="just trace"))
