"""The context of a query: everything about place, customer and purchase that a rule may ask for."""

from decimal import Decimal

from msgspec import Struct

Attribute = str | bool | int | Decimal | tuple[str, ...]


class QueryContext(Struct, frozen=True, gc=False, kw_only=True):
    """One query with its context. A field that is None or empty is one that the query lacks.

    `quantity` has at most three decimals. Free attributes are strings, numbers, booleans or lists of strings.
    """

    product_id: str
    user_location: str | None = None
    is_prime_member: bool = False
    quantity: int | Decimal = 1
    currency: str | None = None
    channel: str | None = None
    customer_id: str | None = None
    customer_groups: tuple[str, ...] = ()
    attributes: dict[str, Attribute] = {}


def location_key(location: str) -> str:
    """A location as markets are looked up: without case and outer blanks."""
    return location.strip().casefold()
