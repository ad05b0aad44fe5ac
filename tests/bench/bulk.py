"""Five hundred queries at once, and how single ones fare beside them."""

from tests.bench import arena, catalogue, shop, wrk
from tests.bench.judge import Bar
from tests.bench.outcome import Options, Outcome
from tests.bench.series import FIGURES, PRICE, Series, alternate, known

ITEMS = 500
BULKS = 200
BULK_CONNECTIONS = 4
SINGLE_CONNECTIONS = 8


def run(options: Options) -> Outcome:
    """Measure bulks, those of a shop with rules, and single queries apart, in turns, then singles beside bulks."""
    rounds, window_s = options.rounds or (2 if options.quick else 5), 1 if options.quick else 3
    options.say("PostgreSQL, Redis and the API")
    with (
        arena.opened(options.cores, 0) as place,
        arena.opened(options.cores, 0) as of_shop,
        place.engine("api") as server,
        of_shop.engine("shop", {"PRICING_TRUST_CALLERS": "true"}) as shop_server,
    ):
        shop.fill(of_shop.settings)
        bodies = place.write("bulk", list(catalogue.bulks(catalogue.hot_queries(ITEMS * BULKS), ITEMS)))
        shop_bodies = of_shop.write("bulk", list(catalogue.bulks(shop.queries(ITEMS * BULKS), ITEMS)))
        singles = place.write("hot", catalogue.hot_queries(10_000))
        bulk = Series("bulk", f"{ITEMS} queries at once, {BULK_CONNECTIONS} connections", server, lambda _: bodies)
        of_rules = Series("shop_bulk", f"{ITEMS} queries of the shop mix at once", shop_server, lambda _: shop_bodies)
        for each in (bulk, of_rules):
            each.path, each.connections = "/api/v1/prices", BULK_CONNECTIONS
        single = Series("single", f"single queries, {SINGLE_CONNECTIONS} connections", server, lambda _: singles)
        beside = Series("beside", "single queries beside the bulks", server, lambda _: singles)
        single.connections = beside.connections = SINGLE_CONNECTIONS
        alternate([bulk, of_rules, single], rounds, window_s, options.cores, options.say)
        options.say("single queries beside the bulks")
        for number in range(1, rounds + 1):
            background = wrk.start(server.url + bulk.path, bodies, window_s, BULK_CONNECTIONS)
            beside.windows.append(beside.measure(number, window_s, options.cores))
            wrk.finish(background, window_s)
    prices_per_s, shop_per_s = (each.median(FIGURES["requests_per_s"]) * ITEMS for each in (bulk, of_rules))
    held_up_ms, bulk_ms = beside.median(FIGURES["p50_ms"]), bulk.median(FIGURES["p50_ms"])
    return Outcome(
        bars=[
            Bar("prices/s of one process, in bulks", prices_per_s, "≥", 50_000),
            Bar("prices/s of one process, in bulks of the shop mix", shop_per_s, "≥", 30_000),
            Bar(f"p50 of single {PRICE} beside bulks, below half a bulk's", held_up_ms, "<", bulk_ms / 2, " ms"),
        ],
        figures={"prices_per_s": known(prices_per_s), "shop_prices_per_s": known(shop_per_s), "items": ITEMS},
        series=[bulk, of_rules, single, beside],
    )
