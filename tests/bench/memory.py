"""Whether the memory of an API process stays where it is over a million distinct queries."""

from tests.bench import arena, catalogue, wrk
from tests.bench.arena import Arena
from tests.bench.judge import Bar
from tests.bench.outcome import Options, Outcome
from tests.bench.series import PRICE, known
from tests.bench.server import Server

# Three times what a near cache holds by default: whatever it holds is never what is asked for next.
PRODUCTS = 60_000
# One in so many queries is for a product that nobody knows, each time another one.
UNKNOWN_ONE_IN = 20
# One in so many is for a product that the near cache holds, in a quantity that nobody asked for: its answer is held.
HOT_ONE_IN = 4
MARKETS = ("NY", "LA", "MIA", "nowhere")
WINDOW_S = 5
# More than is asked for in a window, and so what is written for it.
AHEAD = 100_000
MOST_QUANTITY = 1_000_000


def run(options: Options) -> Outcome:
    """Fill what the process holds several times over, then watch the memory while everything changes all the time."""
    filling, wanted = PRODUCTS * 2, 100_000 if options.quick else 1_000_000
    options.say(f"PostgreSQL, Redis and {PRODUCTS:,} products")
    with arena.opened(options.cores, PRODUCTS) as place, place.engine("api") as server:
        load = _Load(place, server)
        options.say(f"{filling:,} queries fill what it holds")
        load.ask(filling)
        before = server.rss_bytes()
        options.say(f"{before / 1e6:.0f} MB; {wanted:,} more")
        samples = [before]
        while load.asked < filling + wanted:
            load.ask(min(AHEAD, filling + wanted - load.asked))
            samples.append(server.rss_bytes())
            options.say(f"{load.asked - filling:,} of {wanted:,}: {(samples[-1] - before) / 1e6:+.1f} MB")
    furthest = max(samples, key=lambda rss: abs(rss - before)) - before
    return Outcome(
        bars=[
            Bar(f"memory over {wanted:,} distinct queries, furthest from the start", abs(furthest) / 1e6, "≤", 5, " MB")
        ],
        figures={"queries": wanted, "products": PRODUCTS, "rss_mb": [known(rss / 1e6) for rss in samples]},
    )


class _Load:
    """Asks what was never asked before."""

    def __init__(self, place: Arena, server: Server) -> None:
        self._place, self._server = place, server
        self.asked = 0

    def ask(self, queries: int) -> None:
        """So many more.

        Raises:
            wrk.CannotMeasure: an answer was missing, or refused for another reason than an unknown product.
        """
        end = self.asked + queries
        while self.asked < end:
            file = self._place.write("distinct", [self._query(self.asked + n) for n in range(AHEAD)])
            found = wrk.run(self._server.url + PRICE, file, WINDOW_S)
            self.asked += min(found.requests, AHEAD)
            if found.broken or found.refused > found.requests / UNKNOWN_ONE_IN + wrk.CONNECTIONS:
                raise wrk.CannotMeasure(f"{found.refused} of {found.requests} refused, {found.broken} without answer.")

    def _query(self, number: int) -> dict[str, object]:
        if number % UNKNOWN_ONE_IN == 0:
            return {"product_id": f"unknown-{number}"}
        if number % HOT_ONE_IN == 1:
            return {"product_id": catalogue.HOT[number % len(catalogue.HOT)], "quantity": number % MOST_QUANTITY + 1}
        return {
            "product_id": self._place.cold[number % len(self._place.cold)],
            "quantity": 1 + number // len(self._place.cold) % MOST_QUANTITY,
            "user_location": MARKETS[number % len(MARKETS)],
        }
