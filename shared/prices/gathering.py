"""Everything that the decisions of a batch read, in a few statements; publication and plans read it alike."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from shared.catalogue import price_lists
from shared.catalogue.failures import ProductFailure
from shared.catalogue.product_set import ProductFilter
from shared.postgres.pools import Conn
from shared.prices import inputs, pauses
from shared.prices.deciding import Setting
from shared.prices.inputs import PricingInputs
from shared.prices.pauses import Pauses
from shared.pricing.compiled import Terms
from shared.pricing.entries import PriceEntry
from shared.pricing.product import ProductInput
from shared.rulebook.past import PastTerms
from shared.rulebook.store import ActivePolicy

# Versions never change: one cache serves all threads and transactions of a process.
_terms = PastTerms()
_NO_PRODUCTS: Mapping[str, ProductInput] = {}
_NO_PRICES: Mapping[str, Decimal] = {}


class Gathered(NamedTuple):
    """The inputs of a batch.

    Attributes:
        found: The products with their signals, sheets and states.
        failed: The products that cannot be read.
        at: The instant of the decisions: PostgreSQL's time of the reading, or a replay's.
        listed: The entries of products without a sheet.
        in_force: The revisions of price lists in force.
        terms: The rulebook and the market values in force.
    """

    found: list[PricingInputs]
    failed: list[ProductFailure]
    at: datetime
    epoch: int
    listed: Mapping[str, tuple[PriceEntry, ...]]
    in_force: Mapping[str, int]
    pauses: Pauses
    is_stopped: bool
    terms: Terms

    def setting(
        self,
        policy: ActivePolicy,
        before: Mapping[str, ProductInput] = _NO_PRODUCTS,
        chosen: Mapping[str, Decimal] = _NO_PRICES,
    ) -> Setting:
        """The shared arguments of decisions at the time of the reading, as `Setting` describes them."""
        return Setting(
            policy, policy.policy, self.at, self.epoch, before, chosen, self.is_stopped, self.pauses, self.terms
        )


def gather(
    conn: Conn, chosen: ProductFilter, *, repairs: bool = False, locks: bool = True, at: datetime | None = None
) -> Gathered:
    """Read the inputs of decisions.

    Args:
        conn: In a transaction; without locks in one with a snapshot, so that its statements fit together.
        chosen: The products.
        repairs: As `inputs.lock_and_read` has it.
        locks: Whether the products are locked, as publication needs it.
        at: The instant of the decisions; None: PostgreSQL's time. Only a replay of the past gives one.
    """
    found, failed = inputs.lock_and_read(conn, chosen, repairs=repairs, locks=locks)
    now, epoch, is_stopped = _now(conn)
    at = at or now
    first = [one.product.product_id for one in found if one.last is None]
    has_entries = any(one.last is not None and one.last.entries for one in found)
    return Gathered(
        found,
        failed,
        at,
        epoch,
        listed=price_lists.of_products(conn, first) if first else {},
        in_force=price_lists.in_force(conn) if has_entries else {},
        pauses=pauses.read(conn, [one.product.product_id for one in found], at),
        is_stopped=is_stopped,
        terms=terms(conn, at),
    )


def terms(conn: Conn, at: datetime) -> Terms:
    """The rulebook and the market values in force at an instant.

    Raises:
        NoHistory: there was no rulebook yet.
    """
    return _terms.as_of(conn, at)


def _now(conn: Conn) -> tuple[datetime, int, bool]:
    """The time, the epoch, and whether the breaker is open."""
    row = conn.execute(_NOW).fetchone()
    assert row  # noqa: S101 # the query always returns a row
    return row["now"], row["epoch"], row["is_stopped"]


_NOW = """
SELECT clock_timestamp() AS now, current_epoch() AS epoch, EXISTS (SELECT FROM breaker WHERE is_open) AS is_stopped
"""
