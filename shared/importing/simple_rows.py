"""The ordinary row: plain CSV without cost, stock, bounds, strategy and tiers; found and priced as text.

Most rows of most files are so, and text costs a tenth of what objects cost. What is not quite so is left to the
full path; a test holds both to the same results.
"""

import re
from collections.abc import Callable
from decimal import Decimal
from typing import NamedTuple

import msgspec

from shared.importing.rows import Reader
from shared.pricing.currencies import EXPONENTS
from shared.pricing.policy import Policy
from shared.pricing.product import ProductInput
from shared.pricing.sheet import PriceSheet


class Good(msgspec.Struct, frozen=True, gc=False):
    """A row that can be imported; its texts are as COPY takes them.

    Attributes:
        product: The columns of a product.
        published_price: Its first price.
        sheet: That price's sheet.
    """

    product_id: str
    line: int
    raw: str
    product: str
    currency: str
    published_price: str
    sheet: str


class Ordinary:
    """Finds ordinary rows in a table and prices them.

    Args:
        reader: Of the table.
        policy: Decides the prices.
        first_sheet: The full path: what a new product's sheet is.
    """

    def __init__(self, reader: Reader, policy: Policy, first_sheet: Callable[[ProductInput], PriceSheet]) -> None:
        self._match = _pattern(reader)
        self._currency = reader.constants.get("currency", "")
        self._category = reader.constants.get("category", _GENERAL)
        self._policy, self._first_sheet = policy, first_sheet
        self._over, self._under = policy.max_over_list.as_integer_ratio()
        self._forms: dict[tuple[str, str], _Form | None] = {}

    def good(self, line: int, raw: str) -> Good | None:
        """The row, where it is an ordinary one; it is UTF-8 and without quotes."""
        found = self._match(raw) if self._match else None
        if not found:
            return None
        product_id, name, category, currency, whole, decimals = found.group(*_GROUPS)
        form = self._form(category or self._category, currency or self._currency)
        written = f"{whole}.{decimals}" if decimals else whole
        price = form and form.price(whole, decimals or "")
        if not form or not price:
            return None
        product = f"{product_id}\t{name}\t{category or self._category}\t{form.currency}\t{written}{_NOTHING_ELSE}"
        return Good(product_id, line, raw, product, form.currency, price, form.sheet(product_id, price))

    def _form(self, category: str, currency: str) -> "_Form | None":
        key = self._policy.categories.get(category, self._policy.default_strategy), currency
        if key not in self._forms:
            self._forms[key] = self._made(category, currency) if currency in EXPONENTS else None
        return self._forms[key]

    def _made(self, category: str, currency: str) -> "_Form | None":
        """A form cut from one sheet of the full path, or None where it does not give another sheet of that path."""
        first, other = (self._probe(category, currency, minor) for minor in (8_237_465, 31))
        form = _Form(currency, EXPONENTS[currency], self._over, self._under)
        head, _, rest = first.sheet.partition(first.product_id)
        before, _, after = rest.partition(form.ceiling(first.published_price))
        form.cut(head, before.split(first.published_price), after.split(first.published_price))
        return form if form.sheet(other.product_id, other.published_price) == other.sheet else None

    def _probe(self, category: str, currency: str, minor: int) -> "_Probe":
        price = Decimal(minor).scaleb(-EXPONENTS[currency])
        product = ProductInput(
            product_id=f"PROBE-{minor}", name="x", category=category, currency=currency, base_price=price
        )
        return _Probe(product.product_id, str(price), copied(msgspec.json.encode(self._first_sheet(product)).decode()))


class _Probe(NamedTuple):
    product_id: str
    published_price: str
    sheet: str


class _Form:
    """The sheets of one strategy and currency, with blanks for the id, the price and the ceiling."""

    def __init__(self, currency: str, places: int, over: int, under: int) -> None:
        self.currency, self._places, self._over, self._under = currency, places, over, under

    def cut(self, head: str, before: list[str], after: list[str]) -> None:
        """Take over the text before the id, and what stands between the prices before and after the ceiling."""
        self._head, self._before, self._after = head, before, after

    def price(self, whole: str, decimals: str) -> str | None:
        """An amount in the currency's decimals; None: it has more, or is 0, which bounds nothing."""
        if len(decimals) > self._places or not (int(whole) or int(decimals or "0")):
            return None
        return f"{whole}.{decimals.ljust(self._places, '0')}" if self._places else whole

    def ceiling(self, price: str) -> str:
        """The price's multiple by the policy, down to the minor unit."""
        digits = str(int(price.replace(".", "")) * self._over // self._under)
        if not self._places:
            return digits
        digits = digits.rjust(self._places + 1, "0")
        return f"{digits[: -self._places]}.{digits[-self._places :]}"

    def sheet(self, product_id: str, price: str) -> str:
        """The first sheet of a product, as COPY takes it."""
        ceiling = self.ceiling(price)
        return f"{self._head}{product_id}{price.join(self._before)}{ceiling}{price.join(self._after)}"


def copied(text: str) -> str:
    """Text as https://www.postgresql.org/docs/current/sql-copy.html asks for in its text format."""
    return text.replace("\\", r"\\").replace("\t", r"\t").replace("\n", r"\n").replace("\r", r"\r")


def _pattern(reader: Reader) -> Callable[[str], re.Match[str] | None] | None:
    """What an ordinary row looks like; None: no row of this file is one."""
    names = {at: name for name, at in reader.positions}
    if len(names) < len(reader.positions) or not {"product_id", "name", "base_price"} <= set(names.values()):
        return None
    columns = [_PATTERNS.get(names[at], "") if at in names else _ELSE for at in range(reader.width)]
    missing = [f"(?P<{name}>)" for name in ("category", "currency") if name not in names.values()]
    return re.compile(",".join(columns) + "".join(missing)).fullmatch


_GENERAL = "general"
_NOTHING_ELSE = "\t\\N" * 5 + "\t[]"
_GROUPS = ("product_id", "name", "category", "currency", "whole", "decimals")
# Nothing that COPY would want escaped.
_ELSE = r'[^",\\\x00-\x1f]*'
_PATTERNS = {
    "product_id": "(?P<product_id>[A-Za-z0-9][A-Za-z0-9._:-]{0,63})",
    "name": r'(?P<name>(?!\s)[^",\\\x00-\x1f]{1,200})',
    "category": r'(?P<category>[^",\\\x00-\x1f]{0,64})',
    "currency": "(?P<currency>[A-Z]{3})",
    "base_price": r"(?P<whole>0|[1-9][0-9]{0,11})(?:\.(?P<decimals>[0-9]{1,4}))?",
}
