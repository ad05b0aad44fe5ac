"""Past sheets. A row of the history has the sheet that its change replaced; the newest sheet is the current one.

So a month can go without a row to be carried over, and the first sheet of a product is stored once.
"""

from datetime import datetime

import msgspec

from shared.errors import NoHistory, NotFound, UnusableProduct
from shared.postgres.pools import Conn
from shared.prices.packing import unpacked
from shared.pricing.sheet import PriceSheet


def sheet_as_of(conn: Conn, product_id: str, at: datetime) -> PriceSheet:
    """The sheet that was in force at an instant; the product may have been deleted since.

    Raises:
        NotFound: there was no such product.
        NoHistory: the sheet was not kept: it is of a release before.
        UnusableProduct: it cannot be read.
    """
    row = conn.execute(_AS_OF, {"product_id": product_id, "at": at}).fetchone()
    if row is None or (row["sheet"] is None and row["old_price"] is None):
        raise NotFound(f"no product {product_id!r} at {at.isoformat()}")
    if row["sheet"] is None:
        raise NoHistory("the price sheet of this instant was not kept", "$.at")
    try:
        return _sheet.decode(unpacked(row["sheet"]))
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise UnusableProduct(f"the stored data of product {product_id!r} cannot be used") from None


_sheet = msgspec.json.Decoder(PriceSheet)

# One statement: a change between two would be missed.
_AS_OF = """
(SELECT 1 AS place, old_price, old_sheet AS sheet FROM price_history
WHERE product_id = %(product_id)s AND recorded_at > %(at)s ORDER BY recorded_at, version LIMIT 1)
UNION ALL
SELECT 2, NULL, convert_to(sheet, 'UTF8') FROM prices WHERE product_id = %(product_id)s
ORDER BY place LIMIT 1
"""
