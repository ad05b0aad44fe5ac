"""Price queries, one at a time: this engine between what Granian alone can do and a fair peer."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import redis

from tests.bench import answers, arena, catalogue, shop
from tests.bench.arena import Arena
from tests.bench.judge import Bar, ratio
from tests.bench.outcome import Options, Outcome
from tests.bench.series import FIGURES, Series, Window, alternate, known

HOT_QUERIES = 10_000
# So many that remembered answers do not help.
SHOP_QUERIES = 200_000
# Until a process has met most products with most sets of rules that fit: what a query costs then is measured.
SHOP_FIRST_S = 15
# More than any of the servers reads from PostgreSQL in a second.
COLD_PER_S = 9_000


@dataclass(frozen=True)
class Plan:
    """How long and how often; before the first round comes a warm-up."""

    rounds: int
    window_s: int

    @property
    def cold_per_window(self) -> int:
        """Products for one window of a cold series."""
        return COLD_PER_S * self.window_s

    @property
    def cold_products(self) -> int:
        """Products for all windows."""
        return self.cold_per_window * (self.rounds + 1)


def run(options: Options) -> Outcome:
    """Measure all series in turns, and judge them."""
    plan = Plan(options.rounds or (2 if options.quick else 7), 1 if options.quick else 2)
    options.say(f"PostgreSQL, Redis and {plan.cold_products + len(catalogue.HOT):,} products")
    with (
        arena.opened(options.cores, plan.cold_products) as place,
        arena.opened(options.cores, 0) as of_shop,
        ExitStack() as undo,
    ):
        options.say("the servers")
        series = _series(place, plan, undo)
        answers.compare({name: one.server.url for name, one in series.items() if not name.startswith("ceiling")})
        series |= _shop_series(of_shop, undo)
        options.say("all answer the same; each is warmed up")
        alternate(list(series.values()), plan.rounds, plan.window_s, options.cores, options.say)
        complete = answers.completeness(series["near"], series["redis"], place.collector, place.key)
    return Outcome(
        figures={"rounds": plan.rounds, "window_s": plan.window_s, "ratios": _known(ratios(series))},
        series=list(series.values()),
        bars=[*bars(series), *complete],
    )


def _series(place: Arena, plan: Plan, undo: ExitStack) -> dict[str, Series]:
    hot = place.write("hot", catalogue.hot_queries(HOT_QUERIES))
    cold = [_cold(place, plan, number) for number in range(plan.rounds + 1)]
    sheets, peers = (undo.enter_context(redis.Redis.from_url(url)) for url in place.redis_urls)
    # One process answers up to 8 % faster than another of the same kind, from its start to its end. So the ceiling and
    # the near cache, which are close to each other, have two processes each.
    ceiling, again = undo.enter_context(place.ceiling()), undo.enter_context(place.ceiling("ceiling-again"))
    near, near_again = undo.enter_context(place.engine("near")), undo.enter_context(place.engine("near-again"))
    peer, reader = undo.enter_context(place.peer()), undo.enter_context(place.engine("cold"))
    behind = undo.enter_context(place.engine("redis", {"PRICING_NEAR_CACHE_ENTRIES": 0}))
    once = plan.cold_per_window
    found = (
        Series("ceiling", "Granian and msgspec: decode the query, answer fixed bytes", ceiling, lambda _: hot),
        Series("near", "this engine, near cache", near, lambda _: hot),
        Series("ceiling_again", "the ceiling, another process", again, lambda _: hot),
        Series("near_again", "near cache, another process", near_again, lambda _: hot),
        Series("redis", "this engine, Redis", behind, lambda _: hot),
        Series("peer", "FastAPI, Redis", peer, lambda _: hot),
        Series("cold", "this engine, PostgreSQL", reader, cold.__getitem__, once=once, filled=lambda: _size(sheets)),
        Series("peer_cold", "FastAPI, PostgreSQL", peer, cold.__getitem__, once=once, filled=lambda: _size(peers)),
    )
    return {one.name: one for one in found}


def _shop_series(place: Arena, undo: ExitStack) -> dict[str, Series]:
    shop.fill(place.settings)
    asked = place.write("shop", list(shop.queries(SHOP_QUERIES)))
    trusting = {"PRICING_TRUST_CALLERS": "true"}
    near = undo.enter_context(place.engine("shop", trusting))
    behind = undo.enter_context(place.engine("shop-redis", {**trusting, "PRICING_NEAR_CACHE_ENTRIES": 0}))
    return {
        "shop": Series("shop", "shop mix, near cache", near, lambda _: asked, first_s=SHOP_FIRST_S),
        "shop_redis": Series("shop_redis", "shop mix, Redis", behind, lambda _: asked),
    }


def _cold(place: Arena, plan: Plan, number: int) -> Path:
    products = place.cold[number * plan.cold_per_window :][: plan.cold_per_window]
    return place.write(f"cold-{number}", list(catalogue.queries(products, seed=number)))


def _size(client: redis.Redis) -> int:
    return int(client.dbsize())


def ratios(series: dict[str, Series]) -> dict[str, float]:
    """Of the medians, as the JSON has them; of the ceiling and the near cache over both processes."""

    def of(one: str, other: str, figure: str = "requests_per_s") -> float:
        return ratio(*(_each(series, name, FIGURES[figure]) for name in (one, other)))

    return {
        "near_to_ceiling": of("near", "ceiling"),
        "near_to_peer": of("near", "peer"),
        "redis_to_peer": of("redis", "peer"),
        "cold_to_peer_cold": of("cold", "peer_cold"),
        "peer_to_ceiling": of("peer", "ceiling"),
        "near_cpu_to_ceiling_cpu": of("near", "ceiling", "cpu_us_per_request"),
        "shop_to_ceiling": of("shop", "ceiling"),
        "shop_redis_to_redis": of("shop_redis", "redis"),
    }


def _each(series: dict[str, Series], name: str, figure: Callable[[Window], float]) -> list[float]:
    """A figure of every window of all processes of a kind."""
    return [value for kind in (name, f"{name}_again") if kind in series for value in series[kind].each(figure)]


def bars(series: dict[str, Series]) -> list[Bar]:
    """What the figures must show."""
    found = ratios(series)
    p99, p50 = series["near"].median(FIGURES["p99_ms"]), series["peer"].median(FIGURES["p50_ms"])
    return [
        Bar("near cache : ceiling, requests/s", found["near_to_ceiling"], "≥", 0.75),
        Bar("near cache : ceiling, CPU time per request", found["near_cpu_to_ceiling_cpu"], "<", 1.35),
        Bar("near cache : peer, requests/s", found["near_to_peer"], "≥", 10),
        Bar("shop mix, near cache : ceiling, requests/s", found["shop_to_ceiling"], "≥", 0.5),
        Bar("Redis : peer, requests/s", found["redis_to_peer"], "≥", 4),
        Bar("PostgreSQL : peer's, requests/s", found["cold_to_peer_cold"], "≥", 1.5),
        Bar("p99 of the near cache, below the peer's p50", p99, "<", p50, " ms"),
        Bar("the peer is no straw man: peer : ceiling", found["peer_to_ceiling"], "≥", 0.06),
    ]


def _known(found: dict[str, float]) -> dict[str, float | None]:
    return {name: known(value) for name, value in found.items()}
