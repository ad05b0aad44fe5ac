"""The lowest prices before public reductions, in the sheets: found in the history when a reduction begins.

A decision keeps those of reductions that go on, drops those of reductions that ended, and finds those of new ones.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from shared.catalogue import products
from shared.postgres import arrays
from shared.postgres.pools import Conn
from shared.prices import new_versions, public_prices, repricing_queue
from shared.prices.new_versions import Cause, NewVersion
from shared.prices.public_prices import InMarket
from shared.pricing import public_price
from shared.pricing.compiled import BoundSheet, Place, Terms
from shared.pricing.exchange import earliest
from shared.pricing.lowest_price import Low, is_of, lowest_price
from shared.pricing.movement import STEP_INTERVAL
from shared.pricing.public_price import Public
from shared.pricing.sheet import PriceSheet
from shared.rulebook.past import PastTerms

# The quotes of the past that one batch computes while its rows are locked; the other products follow a second later.
MOST_QUOTES = 20_000
_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)

# Versions never change: one cache serves all threads and transactions of a process.
_past = PastTerms()

Wanted = Mapping[str, Mapping[str, Public]]
"""The present public price by product and market."""


class Lows(NamedTuple):
    """The lowest prices of a sheet, and the instant at which they are due again by themselves; None: never."""

    lows: tuple[Low, ...]
    due: datetime | None


class LowestPrices:
    """The lowest prices of a batch of decisions at one instant."""

    def __init__(self, terms: Terms, at: datetime) -> None:
        """Without a sale list or promotion there is nothing to do.

        Args:
            terms: The rulebook and the market values in force.
            at: The instant of the decisions.
        """
        book = terms.rules.rulebook
        is_needed = bool(book.promotions) or any(part.kind == "sale" for part in book.price_lists)
        self._terms, self._at = terms, at
        self._places = [(place, public_price.query_in(place.code)) for place in terms.places] if is_needed else []
        self._found: dict[InMarket, Low] = {}
        self._wanted: dict[str, dict[str, Public]] = {}

    @property
    def is_needed(self) -> bool:
        """Whether the rulebook has anything that reduces prices."""
        return bool(self._places)

    def of(self, sheet: PriceSheet, held: Sequence[Low]) -> Lows:
        """Those of a sheet; one that is to be found first is left out, and the sheet is due in a second.

        Args:
            sheet: The new sheet.
            held: Those of the sheet before.
        """
        self._wanted.pop(sheet.product_id, None)
        bound = BoundSheet(self._terms.rules, sheet)
        lows: list[Low] = []
        wanted: dict[str, Public] = {}
        for place, query in self._places if bound.promotions or bound.lists else ():
            public = public_price.reduced(self._terms, bound, query, self._at)
            if public is None:
                continue
            low = self._found.get((sheet.product_id, place.code)) or _kept(held, public, place)
            if low is None:
                wanted[place.code] = public
            else:
                lows.append(low)
        if wanted:
            self._wanted[sheet.product_id] = wanted
        return Lows(tuple(lows), self._at + STEP_INTERVAL if wanted else _next_edge(bound, self._at))

    @property
    def are_all_found(self) -> bool:
        """Whether none was left out."""
        return not self._wanted

    def find(self, conn: Conn) -> None:
        """Find those that were left out, of as many products as time allows."""
        rules = {place.code: place.rules for place, _ in self._places}
        days = max(rules[market].lowest_price_days for by_market in self._wanted.values() for market in by_market)
        # Most reductions have just begun. Where one began earlier, its window needs the history from before.
        earlier = self._search(conn, self._wanted, self._at - timedelta(days=days + 1))
        self._search(conn, earlier, _BEGINNING)

    def _search(self, conn: Conn, wanted: Wanted, since: datetime) -> Wanted:
        """Find the lowest prices in the history from an instant on; returns those whose window begins before it."""
        chosen = self._affordable(conn, wanted, since)
        quoted = public_prices.of_products(conn, _past, chosen, since, self._at)
        places = {place.code: place for place, _ in self._places}
        short: dict[str, dict[str, Public]] = {}
        for product_id, by_market in chosen.items():
            for market, now in by_market.items():
                low = _low(quoted.get((product_id, market), []), now, places[market])
                if since > _BEGINNING and low.before - timedelta(days=low.days) < since:
                    short.setdefault(product_id, {})[market] = now
                else:
                    self._found[product_id, market] = low
        return short

    def _affordable(self, conn: Conn, wanted: Wanted, since: datetime) -> Wanted:
        chosen: dict[str, Mapping[str, Public]] = {}
        left = MOST_QUOTES
        changes = public_prices.changes(conn, wanted, since, self._at) if wanted else {}
        for product_id, by_market in wanted.items():
            left -= changes[product_id] * len(by_market)
            if left < 0 and chosen:
                break
            chosen[product_id] = by_market
        return chosen


def forget(conn: Conn, product_ids: Sequence[str], cause: Cause) -> None:
    """Take the lowest prices out of the sheets of products whose past changed; they are found again at once."""
    products.lock(conn, product_ids)
    rows = conn.execute(_WITH_LOWS, {"ids": arrays.texts(product_ids)}).fetchall()
    fresh = []
    for row in rows:
        sheet = _sheet.decode(row["sheet"])
        changed = replace(sheet, version=sheet.version + 1, lows=())
        fresh.append(NewVersion(changed, row["epoch"], sheet.published_price, cause, old_sheet=row["sheet"]))
    new_versions.write_undecided(conn, fresh)
    found = [row["product_id"] for row in rows]
    due = conn.execute(_DUE_NOW, {"ids": arrays.texts(found)}).fetchall() if found else []
    repricing_queue.schedule(conn, {row["product_id"]: row["next_due"] for row in due})


def _low(past: Iterable[Public], now: Public, place: Place) -> Low:
    rules, row = place.rules, now.row
    currencies = now.currency, public_prices.IMPORTED
    rows = [public.row for public in past if public.currency in currencies and public.row.at < row.at]
    found = lowest_price(
        [*rows, row],
        row.at,
        days=rules.lowest_price_days,
        mode=rules.lowest_price_mode,
        progressive=rules.progressive,
    )
    assert found is not None  # noqa: S101 # the last row is reduced
    return Low(
        market=place.code,
        currency=now.currency,
        name=row.reduction or "",
        price=found.price,
        before=found.before,
        days=rules.lowest_price_days,
        insufficient_history=found.insufficient_history,
        progressive=rules.progressive,
        current=row.price if rules.lowest_price_mode == "rolling" else None,
    )


def _kept(held: Iterable[Low], now: Public, place: Place) -> Low | None:
    """The lowest price of a reduction that goes on under the same rule of the market."""
    rules, reduction = place.rules, public_price.reduction_of(now, place.code)
    current = now.row.price if rules.lowest_price_mode == "rolling" else None
    rule = rules.lowest_price_days, rules.progressive, current
    found = (low for low in held if is_of(low, reduction) and (low.days, low.progressive, low.current) == rule)
    return next(found, None)


def _next_edge(bound: BoundSheet, at: datetime) -> datetime | None:
    """The next edge of a window of the product's own; those of whole lists and promotions start a recalculation."""
    found: datetime | None = None
    for rules in bound.by_list.values():
        for rule in rules:
            if rule.entry is not None and (rule.entry.opens is not None or rule.entry.closes is not None):
                found = earliest(found, rule.edge(at))
    return found


_sheet = msgspec.json.Decoder(PriceSheet)

_WITH_LOWS = """
SELECT product_id, sheet, (SELECT current_epoch()) AS epoch FROM prices
WHERE product_id = ANY(%(ids)s::text[]) AND sheet LIKE '%%"lows":[%%' ORDER BY product_id
"""

_DUE_NOW = """
UPDATE prices SET next_due = clock_timestamp() WHERE product_id = ANY(%(ids)s::text[]) RETURNING product_id, next_due
"""
