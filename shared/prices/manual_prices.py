"""Manual prices: set and ended by a person, kept in the state of the price."""

from decimal import Decimal

import msgspec

from shared.catalogue import products
from shared.errors import InvalidInput, NotFound, UnusableProduct
from shared.postgres.pools import Conn
from shared.prices import published, states
from shared.prices.new_versions import Cause
from shared.prices.published import Repriced
from shared.pricing.money import amount_in_currency
from shared.pricing.state import ManualPrice
from shared.rulebook import store as rulebook


def put(conn: Conn, product_id: str, manual: ManualPrice | None, cause_id: str) -> Repriced:
    """Set a product's manual price, or end it, and decide.

    Raises:
        InvalidInput: it is no amount of the product.
        NotFound: no such product.
        UnusableProduct: the price cannot be decided.
    """
    if not products.lock(conn, [product_id]):
        raise NotFound(f"no product {product_id!r}")
    if manual is not None:
        check(conn, product_id, manual.price)
    states.set_manual(conn, product_id, None if manual is None else msgspec.json.encode(manual).decode())
    cause = Cause("manual_price", cause_id)
    repriced = published.reprice(conn, [product_id], rulebook.active_policy(conn), cause)
    if repriced.failed:
        raise UnusableProduct(f"the price of product {product_id!r} cannot be decided")
    return repriced


def check(conn: Conn, product_id: str, price: Decimal) -> None:
    """Refuse a price that is no amount of the product: it has the decimals of its currency, or those of its own.

    Raises:
        InvalidInput: as said.
        NotFound: no such product.
    """
    if (money := products.money_of(conn, product_id)) is None:
        raise NotFound(f"no product {product_id!r}")
    try:
        amount_in_currency("price", price, *money)
    except ValueError as error:
        raise InvalidInput(str(error), "$.price") from None
