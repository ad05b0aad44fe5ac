"""Price sheets in Redis: keys, codec, and the versioned put, which never replaces a sheet by an older version.

A sheet is one key, `pricing:sheet:{product_id}`, with the value `<version>|<json>`, so that the script
compares versions without parsing JSON. It serves every location, customer and quantity of its product.

Missing products are cached for a few seconds as version 0, `0|<generation>`. Any sheet replaces such an entry. It is
valid only while `pricing:generation` has the same value; each creation of products increments that counter.
"""

import random
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Protocol

import msgspec

from shared.errors import PricingError
from shared.prices.published import StoredSheet
from shared.pricing.currencies import EXPONENTS
from shared.pricing.sheet import PriceSheet

# A script of 250 sheets holds Redis for about 2 ms (7 µs a key).
BATCH = 250
FILL_WITHIN_MS = 2_000
ABSENCE_TTL_S = 3.0
GENERATION = "pricing:generation"
# A published price is not rounded and may be a multiple of the largest list price.
LARGEST = Decimal(10) ** 18


class CorruptSheet(PricingError):
    """A cached entry is not a price sheet."""


class Fill(msgspec.Struct, frozen=True):
    """A sheet read from PostgreSQL for a key that Redis did not have, or could not use.

    Attributes:
        seen: The entry that did not decode, and is replaced whatever its version; empty: none.
    """

    sheet: StoredSheet
    seen: bytes = b""


class Script(Protocol):
    """A registered Lua script of a redis-py client, sync or asyncio."""

    def __call__(self, keys: Sequence[str], args: Sequence[bytes | str | int]) -> object:
        """Run it; the asyncio client returns an awaitable."""


def key(product_id: str) -> str:
    """The Redis key of a product's sheet."""
    return f"pricing:sheet:{product_id}"


def entry(stored: StoredSheet) -> str:
    """A sheet as the value of its key in Redis."""
    return f"{stored.version}|{stored.json}"


def negative_entry(generation: bytes | None) -> bytes:
    """The entry of a product that did not exist in this generation of the catalogue."""
    return b"0|" + (generation or b"")


def is_absence(entry: bytes) -> bool:
    """Whether an entry is negative: of this generation, or of an earlier one."""
    return entry.startswith(b"0|")


def negative(product_id: str, generation: bytes | None) -> StoredSheet:
    """The negative entry, in the form of a sheet, for a product that PostgreSQL does not have."""
    return StoredSheet(product_id, 0, (generation or b"").decode(errors="replace"))


def decode(product_id: str, entry: bytes) -> PriceSheet:
    """The sheet in the cached entry of a product.

    Raises:
        CorruptSheet: the entry is not a price sheet; read it from the database instead.
    """
    version, _, document = entry.partition(b"|")
    try:
        sheet = _decoder.decode(document)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise CorruptSheet(str(error)) from None
    if sheet.product_id != product_id:
        raise CorruptSheet(f"the entry holds the sheet of {sheet.product_id!r}")
    if version != b"%d" % sheet.version:
        raise CorruptSheet("the entry's version is not its sheet's")
    if sheet.currency not in EXPONENTS:
        raise CorruptSheet("the currency is unknown")
    if not all(amount.is_finite() and _ZERO <= amount <= LARGEST for amount in _amounts(sheet)):
        raise CorruptSheet("an amount is out of range")
    if not (sheet.membership_rate.is_finite() and _ZERO <= sheet.membership_rate <= _ONE):
        raise CorruptSheet("the membership rate is not between 0 and 1")
    return sheet


def sheet_of(stored: StoredSheet) -> PriceSheet:
    """The sheet in a row of PostgreSQL."""
    return _decoder.decode(stored.json)


def put_arguments(sheets: Iterable[StoredSheet], ttl_s: float) -> tuple[list[str], list[bytes | str | int]]:
    """Keys and arguments of `PUT` for new versions, which replace older ones."""
    return _arguments([Fill(sheet) for sheet in sheets], ttl_s, read_at_ms=0)


def fill_arguments(fills: Iterable[Fill], ttl_s: float, read_at_ms: int) -> tuple[list[str], list[bytes | str | int]]:
    """Keys and arguments of `PUT` for sheets read from PostgreSQL after `read_at_ms`, by Redis TIME."""
    return _arguments(list(fills), ttl_s, read_at_ms)


def _amounts(sheet: PriceSheet) -> list[Decimal]:
    amounts = [sheet.list_price, sheet.published_price, sheet.floor]
    amounts += [tier.unit_price for tier in sheet.tiers]
    return amounts if sheet.ceiling is None else [*amounts, sheet.ceiling]


def _arguments(fills: Sequence[Fill], ttl_s: float, read_at_ms: int) -> tuple[list[str], list[bytes | str | int]]:
    arguments: list[bytes | str | int] = [read_at_ms, FILL_WITHIN_MS]
    for fill in fills:
        # The TTL varies, so that keys written together do not expire together.
        lasting_s = ttl_s if fill.sheet.version else ABSENCE_TTL_S
        ttl_ms = int(lasting_s * 1000 * random.uniform(0.9, 1.1))  # noqa: S311 # no secret
        arguments += [fill.sheet.version, entry(fill.sheet), ttl_ms, fill.seen]
    return [key(fill.sheet.product_id) for fill in fills], arguments


_decoder = msgspec.json.Decoder(PriceSheet)
_ZERO, _ONE = Decimal(0), Decimal(1)

# An entry is replaced by the same or a later version. The entry `seen`, which did not decode, is replaced by any
# version. A key of another type (GET fails) is replaced. An entry starts with its version.
# A read from PostgreSQL (ARGV[1] > 0) fills a key only while the read is fresh: later its data may be outdated.
PUT = """
local read_at, within = tonumber(ARGV[1]), tonumber(ARGV[2])
local now = redis.call('TIME')
local late = read_at > 0 and now[1] * 1000 + now[2] / 1000 - read_at > within
local put = 0
for i, key in ipairs(KEYS) do
  local at = 3 + (i - 1) * 4
  local version, value, ttl_ms, seen = tonumber(ARGV[at]), ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
  local held = seen == '' and redis.pcall('GETRANGE', key, 0, 31) or redis.pcall('GET', key)
  if type(held) == 'table' then held = false end
  local held_version = held and held ~= seen and tonumber(string.match(held, '^(%d+)|'))
  if not (late or (held_version and held_version > version)) then
    redis.call('SET', key, value, 'PX', ttl_ms)
    put = put + 1
  end
end
return put
"""
