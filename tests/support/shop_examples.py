"""A rulebook, its terms and a bound sheet to start from, for quotes by a rulebook."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec

from shared.pricing.answer import Quote
from shared.pricing.compiled import BoundSheet, CompiledRulebook, Terms
from shared.pricing.entries import EntryInput, PriceEntry
from shared.pricing.exchange import MarketValues, Since
from shared.pricing.market import Market
from shared.pricing.policy import DEFAULT_POLICY
from shared.pricing.query import PriceQuery
from shared.pricing.quote import quote
from shared.pricing.rulebook import Rulebook
from shared.pricing.rulebook_check import read
from shared.pricing.sheet import PriceSheet
from tests.support.pricing_examples import NOON, sheet

EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
POLICY = msgspec.to_builtins(DEFAULT_POLICY)


def rulebook(
    *,
    lists: Sequence[Any] = (),
    promotions: Sequence[Any] = (),
    markets: Mapping[str, Any] | None = None,
    **policy: Any,
) -> Rulebook:
    """A checked rulebook; `policy` are fields of its policy beside the shipped ones."""
    document = {"policy": {**POLICY, **policy}, "price_lists": lists, "promotions": promotions}
    return read({**document, "markets": {"DEFAULT": {}} if markets is None else markets})


def shop_sheet(entries: Sequence[PriceEntry] = (), **fields: Any) -> PriceSheet:
    return sheet(**{"membership_rate": Decimal(0), "entries": tuple(entries), **fields})


def entry(list_id: str, amount: str | None = None, **fields: Any) -> PriceEntry:
    document = {"product_id": "P-1", "amount": amount, **fields}
    return msgspec.convert(document, EntryInput).entry(list_id)


def values(multipliers: Mapping[str, str] | None = None, rates: Mapping[str, str] | None = None) -> MarketValues:
    """Values in force since 2000; rates are written as `USD/EUR`."""
    return MarketValues(
        {code: (Since(EPOCH, Decimal(value)),) for code, value in (multipliers or {}).items()},
        {pair(name): (Since(EPOCH, Decimal(value)),) for name, value in (rates or {}).items()},
        version=1,
    )


def pair(name: str) -> tuple[str, str]:
    source, _, target = name.partition("/")
    return source, target


def quoted(
    book: Rulebook,
    priced: PriceSheet,
    *,
    at: datetime = NOON,
    world: MarketValues | None = None,
    contract: Sequence[PriceEntry] = (),
    explain: bool = False,
    **query: Any,
) -> Any:
    """The quote of one query from scratch, by the sheet's membership rate and rounding.

    Not typed, since tests compare its Decimals with ints.
    """
    policy = msgspec.structs.replace(book.policy, membership_rate=priced.membership_rate, rounding=priced.rounding)
    rules = CompiledRulebook(msgspec.structs.replace(book, policy=policy), 1)
    terms = Terms(rules, world or values())
    asked = PriceQuery(product_id="P-1", **query)
    return quote(terms, BoundSheet(rules, priced), asked, at, contract=contract, explain=explain)


def terms_of(book: Rulebook, world: MarketValues | None = None) -> Terms:
    """A rulebook compiled as version 1, with market values."""
    return Terms(CompiledRulebook(book, 1), world or values())


def quoted_in(priced: PriceSheet, where: Market, asked: PriceQuery, *, explain: bool = False, **policy: Any) -> Quote:
    """The quote of a query in a market, whatever its location, under a neutral rulebook."""
    policy = {"membership_rate": str(priced.membership_rate), "rounding": priced.rounding, **policy}
    rules = CompiledRulebook(rulebook(markets={"DEFAULT": {}, where.code: {}}, **policy), 1)
    terms = Terms(rules, values({where.code: str(where.multiplier)}))
    asked = msgspec.structs.replace(asked, user_location=where.code)
    return quote(terms, BoundSheet(rules, priced), asked, NOON, explain=explain)
