"""One API process and two, on the same two cores.

The load and the data servers share one of them, so that the requests/s say less than the CPU time per request:
while that stays what it is, each further core brings as much as the first.
"""

from contextlib import ExitStack

from tests.bench import arena, catalogue
from tests.bench.judge import Bar, ratio
from tests.bench.outcome import Options, Outcome
from tests.bench.series import FIGURES, Series, alternate, known


def run(options: Options) -> Outcome:
    """Measure both in turns."""
    rounds, window_s = options.rounds or (3 if options.quick else 7), 1 if options.quick else 3
    both = sorted({options.cores.server, options.cores.others})
    with arena.opened(options.cores, 0) as place, ExitStack() as undo:
        hot = place.write("hot", catalogue.hot_queries(10_000))
        series = []
        for name, processes in (("one", 1), ("two", 2)):
            options.say(f"an API of {processes}")
            server = undo.enter_context(place.engine(name, {"PRICING_API_PROCESSES": processes}, both))
            series.append(Series(name, f"near cache, processes: {name}", server, lambda _: hot))
        alternate(series, rounds, window_s, options.cores, options.say)
    one, two = series
    more = ratio(two.each(FIGURES["requests_per_s"]), one.each(FIGURES["requests_per_s"]))
    dearer = ratio(two.each(FIGURES["cpu_us_per_request"]), one.each(FIGURES["cpu_us_per_request"]))
    return Outcome(
        bars=[
            Bar("two processes : one, CPU time per request", dearer, "≤", 1.25),
        ],
        figures={"ratios": {"two_to_one": known(more), "two_cpu_to_one_cpu": known(dearer)}},
        series=series,
    )
