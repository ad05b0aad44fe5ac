"""Price sheets in Redis: keys, codec, and the versioned put, which never replaces a sheet by an older version.

A sheet is one key, `pricing:sheet:{product_id}`, in a cluster with a hash tag (`tags`). Its value is
`<version>|<json>`, so that the script compares versions without parsing JSON. It serves every location, customer and
quantity of its product. In an epoch of the database other than the first, 0, the value is `<epoch>.<version>|<json>`;
versions of another epoch mean nothing.

`<version>|?` is a mark: the product was deleted, or its sheet changed while Redis had none. Readers read
PostgreSQL, and nothing older than the mark is put.

Missing products are cached for a few seconds as version 0, `0|<generation>`. Any sheet replaces such an entry. It is
valid only while `pricing:generation` has the same value; each creation of products increments that counter. In a
cluster each tag has such a counter.
"""

import random
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import NamedTuple

import msgspec

from shared.cache import tags
from shared.errors import PricingError
from shared.messaging.cluster import Command, scripted
from shared.prices.new_versions import StoredSheet
from shared.pricing.currencies import EXPONENTS
from shared.pricing.sheet import PriceSheet

# A script of 250 sheets holds Redis for about 2 ms (7 µs a key).
BATCH = 250
FILL_WITHIN_MS = 2_000
ABSENCE_TTL_S = 3.0
# Longer than a fill may take: a fill whose read began before the mark is older than it, and refused.
MARK_TTL_MS = 5_000
MARK = b"?"
# A published price is not rounded and may be a multiple of the largest list price.
LARGEST = Decimal(10) ** 18


class CorruptSheet(PricingError):
    """A cached entry is not a price sheet."""


class Fill(msgspec.Struct, frozen=True):
    """A sheet read from PostgreSQL for a key that Redis did not have, or could not use.

    Attributes:
        seen: The entry that PostgreSQL contradicts, read before it; it is replaced whatever its version. Empty: none.
    """

    sheet: StoredSheet
    seen: bytes = b""


class Entry(NamedTuple):
    """The parts of a cached entry, unchecked."""

    epoch: bytes
    version: bytes
    document: bytes

    @property
    def is_mark(self) -> bool:
        """Whether the product is to be read from PostgreSQL."""
        return self.document == MARK

    @property
    def is_absence(self) -> bool:
        """Whether the entry is negative: of this generation, or of an earlier one."""
        return self.version == b"0"

    def is_of(self, epoch: int | None) -> bool:
        """Whether the entry was written in this epoch; None: the epoch is not known yet."""
        return epoch is not None and self.epoch == (b"%d" % epoch if epoch else b"")

    def is_later(self, stored: StoredSheet) -> bool:
        """Whether the entry has a later version than PostgreSQL, in the same epoch."""
        return self.is_of(stored.epoch) and self.version.isdigit() and int(self.version) > stored.version


def key(product_id: str, tag: str = tags.NONE) -> str:
    """The Redis key of a product's sheet."""
    return f"pricing:{tag}sheet:{product_id}"


def generation_key(tag: str = tags.NONE) -> str:
    """The Redis key of the counter of creations."""
    return f"pricing:{tag}generation"


def generation_raised(tag: str) -> Command:
    """Invalidates the negative entries of a tag."""
    return Command(tag, ("EVAL", _RAISE, 1, generation_key(tag)))


def clock(tag: str) -> Command:
    """Reads seconds and microseconds of Redis' time, and the generation."""
    return Command(tag, ("EVAL", _CLOCK, 1, generation_key(tag)))


def entry(stored: StoredSheet) -> str:
    """A sheet as the value of its key in Redis."""
    head = f"{stored.epoch}.{stored.version}" if stored.epoch else str(stored.version)
    return f"{head}|{stored.json or MARK.decode()}"


def parts(entry: bytes) -> Entry:
    """Split an entry; entries of the first epoch do not name it."""
    head, _, document = entry.partition(b"|")
    epoch, _, version = head.rpartition(b".")
    return Entry(epoch, version, document)


def negative(product_id: str, generation: bytes | None, epoch: int) -> StoredSheet:
    """The negative entry, in the form of a sheet, for a product that PostgreSQL does not have."""
    return StoredSheet(product_id, 0, (generation or b"-").decode(errors="replace"), epoch)


def is_current_absence(entry: Entry, generation: bytes | None) -> bool:
    """Whether the product did not exist in this generation of the catalogue."""
    return entry.is_absence and entry.document == (generation or b"-")


def decode(product_id: str, entry: bytes) -> PriceSheet:
    """The sheet in the cached entry of a product, of whatever epoch.

    Raises:
        CorruptSheet: the entry is not a price sheet; read it from the database instead.
    """
    _, version, document = parts(entry)
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
    """The sheet in a row of PostgreSQL.

    Raises:
        CorruptSheet: the row is not a price sheet.
    """
    return decode(stored.product_id, entry(stored).encode())


def put(sheets: Iterable[StoredSheet], ttl_s: float, tag: str = tags.NONE) -> Command:
    """Puts new versions, which replace older ones; a mark where there was no sheet. Their ids have this tag.

    The reply has a 1 for each sheet of which Redis has a later version, else a 0.
    """
    return _put([Fill(sheet) for sheet in sheets], ttl_s, 0, tag)


def fill(fills: Sequence[Fill], ttl_s: float, read_at_ms: int, tag: str = tags.NONE) -> Command:
    """As `put`, for sheets read from PostgreSQL after `read_at_ms`, by Redis TIME; it creates sheets."""
    return _put(fills, ttl_s, read_at_ms, tag)


def _amounts(sheet: PriceSheet) -> list[Decimal]:
    amounts = [sheet.list_price, sheet.published_price, sheet.floor]
    amounts += [tier.unit_price for tier in sheet.tiers]
    return amounts if sheet.ceiling is None else [*amounts, sheet.ceiling]


def _put(fills: Sequence[Fill], ttl_s: float, read_at_ms: int, tag: str) -> Command:
    times = (read_at_ms, FILL_WITHIN_MS, MARK_TTL_MS)
    arguments: list[tuple[bytes | str | int, ...]] = []
    for fill in fills:
        # The TTL varies, so that keys written together do not expire together.
        lasting_s = ttl_s if fill.sheet.version else ABSENCE_TTL_S
        ttl_ms = int(lasting_s * 1000 * random.uniform(0.9, 1.1))  # noqa: S311 # no secret
        arguments.append((fill.sheet.version, entry(fill.sheet), ttl_ms, fill.seen, fill.sheet.epoch or ""))
    keys = [key(fill.sheet.product_id, tag) for fill in fills]
    return scripted(PUT, tag, keys, times, arguments)


_decoder = msgspec.json.Decoder(PriceSheet)
_ZERO, _ONE = Decimal(0), Decimal(1)

# An entry is replaced by the same or a later version of its epoch, and by any version of another epoch: readers reject
# the entries of other epochs, whoever wrote last. The entry `seen` is replaced by any version. A key of another type
# (GET fails) is replaced. An entry starts with its epoch and version. The script returns a 1 for
# each key that keeps its entry.
# A read from PostgreSQL (ARGV[1] > 0) fills a key only while the read is fresh: later its data may be outdated.
# A new version (ARGV[1] = 0) replaces a sheet, whose lifetime goes on. Where there is none, nobody has asked for the
# product lately: the short mark suffices. Thus only readers create sheets in Redis, and a late writer creates none.
PUT = """
local read_at, within, mark_ttl_ms = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3]
local now = redis.call('TIME')
local late = read_at > 0 and now[1] * 1000 + now[2] / 1000 - read_at > within
local kept = {}
for i, key in ipairs(KEYS) do
  local at = 4 + (i - 1) * 5
  local version, value, ttl_ms, seen, epoch = tonumber(ARGV[at]), ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], ARGV[at + 4]
  local held = seen == '' and redis.pcall('GETRANGE', key, 0, 63) or redis.pcall('GET', key)
  if type(held) == 'table' or held == seen then held = false end
  local held_epoch, held_version = string.match(held or '', '^(%d+)%.(%d+)|')
  if not held_version then held_epoch, held_version = '', string.match(held or '', '^(%d+)|') end
  kept[i] = 0
  if late or (held_version and held_epoch == epoch and tonumber(held_version) > version) then
    kept[i] = 1
  elseif read_at == 0 and string.find(value, '|{', 1, true) then
    if held and string.find(held, '|{', 1, true) then
      redis.call('SET', key, value, 'KEEPTTL')
    else
      redis.call('SET', key, string.match(value, '^[^|]*|') .. '?', 'PX', mark_ttl_ms)
    end
  else
    redis.call('SET', key, value, 'PX', ttl_ms)
  end
end
return kept
"""

# MGET, unlike GET, raises no error for a key of another type.
_CLOCK = """
local now = redis.call('TIME')
return {now[1], now[2], redis.call('MGET', KEYS[1])[1]}
"""

# A foreign value is no number. Redis' time is a generation that was never there.
_RAISE = """
local raised = redis.pcall('INCR', KEYS[1])
if type(raised) == 'table' then
  local now = redis.call('TIME')
  redis.call('SET', KEYS[1], now[1] .. string.format('%06d', now[2]))
end
"""
