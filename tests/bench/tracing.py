"""What tracing at its default ratio costs the warm read path."""

from contextlib import ExitStack

from tests.bench import arena, catalogue
from tests.bench.judge import Bar, ratio
from tests.bench.outcome import Options, Outcome
from tests.bench.series import FIGURES, Series, alternate, known

OFF = {"PRICING_TRACE_READ_RATIO": 0, "PRICING_TRACE_WRITE_RATIO": 0, "OTEL_EXPORTER_OTLP_ENDPOINT": ""}


def run(options: Options) -> Outcome:
    """Measure with tracing and without, in turns."""
    rounds, window_s = options.rounds or (6 if options.quick else 15), 1 if options.quick else 2
    options.say("PostgreSQL, Redis, an API with tracing and one without")
    with arena.opened(options.cores, 0) as place, ExitStack() as undo:
        hot = place.write("hot", catalogue.hot_queries(10_000))
        on, off = undo.enter_context(place.engine("on")), undo.enter_context(place.engine("off", OFF))
        series = [
            Series("on", "near cache, tracing at its default ratio", on, lambda _: hot),
            Series("off", "near cache, no tracing", off, lambda _: hot),
        ]
        alternate(series, rounds, window_s, options.cores, options.say)
    kept = ratio(*(one.each(FIGURES["requests_per_s"]) for one in series))
    dearer = ratio(*(one.each(FIGURES["cpu_us_per_request"]) for one in series))
    return Outcome(
        bars=[
            Bar("tracing on : off, requests/s", kept, "≥", 0.95),
            Bar("tracing on : off, CPU time per request", dearer, "≤", 1.05),
        ],
        figures={"ratios": {"on_to_off": known(kept), "on_cpu_to_off_cpu": known(dearer)}},
        series=series,
    )
