"""Prices of the past: quoted by the same function, from the sheet, the rulebook and the values of their instant."""

import asyncio
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from api.http.answers import is_past
from api.services import Services
from shared.errors import NoHistory, PricingError
from shared.prices import history
from shared.pricing.compiled import BoundSheet, Terms
from shared.pricing.query import PriceQuery

Instant = tuple[str, datetime]


class Past:
    """What the prices of products at past instants are computed from."""

    def __init__(self, found: Mapping[Instant, tuple[Terms, BoundSheet] | PricingError]) -> None:
        self._found = found

    def of(self, query: PriceQuery) -> tuple[Terms, BoundSheet] | None:
        """The terms and the sheet of the query's instant; None: it is not past.

        Raises:
            PricingError: there is no price of that instant, or not for this query.
        """
        found = None if query.at is None else self._found.get((query.product_id, query.at))
        if isinstance(found, PricingError):
            raise found
        if found is not None and query.customer_id is not None and found[0].rules.lists:
            raise NoHistory("past entries of single customers are not kept; leave `customer_id` or `at` out", "$.at")
        return found


NOTHING = Past({})


async def look_up(services: Services, queries: Iterable[PriceQuery], now: datetime) -> Past:
    """Read what the queries for past instants need.

    Raises:
        DatabaseUnavailable: PostgreSQL is away.
    """
    wanted = {(query.product_id, query.at) for query in queries if query.at is not None and is_past(query, now)}
    return await asyncio.to_thread(_read, services, wanted, now) if wanted else NOTHING


def _read(services: Services, wanted: Iterable[Instant], now: datetime) -> Past:
    found: dict[Instant, tuple[Terms, BoundSheet] | PricingError] = {}
    begins, days = now - timedelta(days=services.settings.history_days), services.settings.history_days
    with services.transaction() as conn:
        for product_id, at in sorted(wanted, key=lambda instant: instant[1]):
            try:
                if at < begins:
                    raise NoHistory(f"prices are kept for {days} days", "$.at")
                terms = services.past_terms.as_of(conn, at)
                sheet = history.sheet_as_of(conn, product_id, at)
                found[product_id, at] = terms, BoundSheet(terms.rules, sheet)
            except PricingError as error:
                found[product_id, at] = error
    return Past(found)
