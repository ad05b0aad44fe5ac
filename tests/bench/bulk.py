"""Five hundred queries at once, and how single ones fare beside them."""

from tests.bench import arena, catalogue, wrk
from tests.bench.judge import Bar
from tests.bench.outcome import Options, Outcome
from tests.bench.series import FIGURES, PRICE, Series, alternate, known

ITEMS = 500
BULKS = 200
BULK_CONNECTIONS = 4
SINGLE_CONNECTIONS = 8


def run(options: Options) -> Outcome:
    """Measure bulks and single queries apart, in turns, then both at once."""
    rounds, window_s = options.rounds or (2 if options.quick else 5), 1 if options.quick else 3
    options.say("PostgreSQL, Redis and the API")
    with arena.opened(options.cores, 0) as place, place.engine("api") as server:
        bodies = place.write("bulk", list(catalogue.bulks(catalogue.hot_queries(ITEMS * BULKS), ITEMS)))
        singles = place.write("hot", catalogue.hot_queries(10_000))
        bulk = Series("bulk", f"{ITEMS} queries at once, {BULK_CONNECTIONS} connections", server, lambda _: bodies)
        bulk.path, bulk.connections = "/api/v1/prices", BULK_CONNECTIONS
        single = Series("single", f"single queries, {SINGLE_CONNECTIONS} connections", server, lambda _: singles)
        beside = Series("beside", "single queries beside the bulks", server, lambda _: singles)
        single.connections = beside.connections = SINGLE_CONNECTIONS
        alternate([bulk, single], rounds, window_s, options.cores, options.say)
        options.say("single queries beside the bulks")
        for number in range(1, rounds + 1):
            background = wrk.start(server.url + bulk.path, bodies, window_s, BULK_CONNECTIONS)
            beside.windows.append(beside.measure(number, window_s, options.cores))
            wrk.finish(background, window_s)
    prices_per_s = bulk.median(FIGURES["requests_per_s"]) * ITEMS
    held_up_ms, bulk_ms = beside.median(FIGURES["p50_ms"]), bulk.median(FIGURES["p50_ms"])
    return Outcome(
        bars=[
            Bar("prices/s of one process, in bulks", prices_per_s, "≥", 50_000),
            Bar(f"p50 of single {PRICE} beside bulks, below half a bulk's", held_up_ms, "<", bulk_ms / 2, " ms"),
        ],
        figures={"prices_per_s": known(prices_per_s), "items": ITEMS},
        series=[bulk, single, beside],
    )
