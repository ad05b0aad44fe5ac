"""What tracing at its default ratio costs the warm read path."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack

from tests.bench import arena, catalogue
from tests.bench.judge import Bar, ratio
from tests.bench.outcome import Options, Outcome
from tests.bench.series import FIGURES, Series, alternate, known

OFF = {"PRICING_TRACE_READ_RATIO": 0, "PRICING_TRACE_WRITE_RATIO": 0, "OTEL_EXPORTER_OTLP_ENDPOINT": ""}


# One process answers up to 5 % faster than another of the very same kind, from its start to its end: as much as is
# to be measured. So there are several of each.
PAIRS, QUICK_PAIRS = 4, 2


def run(options: Options) -> Outcome:
    """Measure processes with tracing and without, in turns."""
    rounds, window_s = options.rounds or (3 if options.quick else 5), 1 if options.quick else 2
    pairs = QUICK_PAIRS if options.quick else PAIRS
    options.say(f"PostgreSQL, Redis, {pairs} API processes with tracing and {pairs} without")
    with arena.opened(options.cores, 0) as place, ExitStack() as undo:
        hot = place.write("hot", catalogue.hot_queries(10_000))

        def several(name: str, title: str, settings: Mapping[str, object]) -> list[Series]:
            servers = [undo.enter_context(place.engine(f"{name}-{n}", settings)) for n in range(1, pairs + 1)]
            return [Series(f"{name}-{n}", f"{title} ({n})", one, lambda _: hot) for n, one in enumerate(servers, 1)]

        on = several("on", "near cache, tracing at its default ratio", {})
        off = several("off", "near cache, no tracing", OFF)
        series = [one for pair in zip(on, off, strict=True) for one in pair]
        alternate(series, rounds, window_s, options.cores, options.say)
    kept = _ratio(on, off, "requests_per_s")
    dearer = _ratio(on, off, "cpu_us_per_request")
    return Outcome(
        bars=[
            Bar("tracing on : off, requests/s", kept, "≥", 0.95),
            Bar("tracing on : off, CPU time per request", dearer, "≤", 1.05),
        ],
        figures={"ratios": {"on_to_off": known(kept), "on_cpu_to_off_cpu": known(dearer)}},
        series=series,
    )


def _ratio(on: Sequence[Series], off: Sequence[Series], figure: str) -> float:
    """Of the medians over all windows of all processes."""
    return ratio(*([value for one in series for value in one.each(FIGURES[figure])] for series in (on, off)))
