"""The rulebook by versions; the newest one is active. No version is ever changed."""

import asyncio
from collections.abc import Callable
from datetime import datetime
from functools import lru_cache
from typing import Annotated, NamedTuple

import msgspec
from msgspec import Meta

from shared.errors import InvalidInput, NotFound
from shared.postgres.pools import AsyncPool, Conn
from shared.pricing.exchange import MarketValues
from shared.pricing.policy import Policy
from shared.pricing.product import ProductInput
from shared.pricing.rulebook import NEUTRAL, Rulebook, RulebookPolicy
from shared.rulebook import documents, values
from shared.wire.fields import AT

By = values.By


class ActivePolicy(msgspec.Struct, frozen=True):
    """The policy of the active rulebook, with the rulebook's version."""

    version: int
    policy: Policy


class RulebookVersion(msgspec.Struct, frozen=True):
    """One version of the rulebook: who made it, why, and the instant from which it is in force."""

    version: int
    rulebook: Rulebook
    author: str
    cause: str
    at: datetime


class VersionView(msgspec.Struct, frozen=True):
    """One version of the rulebook in a list."""

    version: Annotated[int, Meta(description="The version.", examples=[7])]
    author: Annotated[str, Meta(description="The key's name, or just (USER): a command.", examples=["shop"])]
    cause: Annotated[str, Meta(description="The change.", examples=["promotion black-friday"])]
    at: Annotated[datetime, Meta(description="The time from which it is in force.", examples=[AT])]


class Loaded(NamedTuple):
    """The active rulebook and the market values, as a process of the API holds them, with the database's epoch.

    `mark` tells the newest versions, also from those of a database that was restored.
    """

    version: int
    rulebook: Rulebook
    values: MarketValues
    mark: tuple[object, ...]
    epoch: int


def active(conn: Conn) -> RulebookVersion:
    """The newest rulebook."""
    row = conn.execute(f"{_SELECT} ORDER BY version DESC LIMIT 1".encode()).fetchone()
    if row is None:
        raise LookupError("no rulebook in the database: run `just migrate`")
    return _version(row)


def active_policy(conn: Conn) -> ActivePolicy:
    """The policy of the newest rulebook."""
    row = conn.execute(_POLICY).fetchone()
    if row is None:
        raise LookupError("no rulebook in the database: run `just migrate`")
    return ActivePolicy(row["version"], _policy(row["policy"]))


@lru_cache(maxsize=4)  # every message and partition reads it; what its rules prepare is kept by their identity
def _policy(document: str) -> RulebookPolicy:
    return msgspec.json.decode(document, type=RulebookPolicy)


def newest(conn: Conn) -> int:
    """The version of the newest rulebook; 0: there is none."""
    [row] = conn.execute("SELECT coalesce(max(version), 0) AS version FROM rulebooks").fetchall()
    return int(row["version"])


def by_version(conn: Conn, version: int) -> RulebookVersion:
    """A version of the rulebook.

    Raises:
        NotFound: there is no such version.
    """
    row = conn.execute(f"{_SELECT} WHERE version = %s".encode(), [version]).fetchone()
    if row is None:
        raise NotFound(f"no version {version} of the rulebook")
    return _version(row)


def as_of(conn: Conn, at: datetime) -> RulebookVersion:
    """The rulebook that was active at an instant.

    Raises:
        NotFound: the first one is younger.
    """
    row = conn.execute(f"{_SELECT} WHERE at <= %s ORDER BY at DESC, version DESC LIMIT 1".encode(), [at]).fetchone()
    if row is None:
        raise NotFound(f"no rulebook at {at.isoformat()}")
    return _version(row)


def listed(conn: Conn, limit: int, before: int | None = None) -> list[VersionView]:
    """The newest versions, of those before the version `before`."""
    return [VersionView(**row) for row in conn.execute(_LIST, {"limit": limit, "before": before})]


def locked(conn: Conn) -> RulebookVersion:
    """The active rulebook; no other transaction publishes one until this one ends."""
    _lock(conn)
    return active(conn)


def publish(conn: Conn, rulebook: Rulebook, by: By) -> RulebookVersion:
    """Make a rulebook the active one, as `change` does."""
    return change(conn, lambda _: rulebook, by)


def change(conn: Conn, make: Callable[[Rulebook], Rulebook], by: By) -> RulebookVersion:
    """Make a revision of the active rulebook the active one. One that says the same makes no version.

    Writers take turns: none overwrites a version that it has not read.

    Raises:
        InvalidInput: the revision is not a valid rulebook.
    """
    held = locked(conn)
    return revise(conn, held, make(held.rulebook), by)


def revise(conn: Conn, held: RulebookVersion, revised: Rulebook, by: By) -> RulebookVersion:
    """Make a revision of the locked rulebook the active one. One that says the same makes no version.

    Raises:
        InvalidInput: the revision is not a valid rulebook.
    """
    checked = documents.checked(revised)
    return held if checked == held.rulebook else _insert(conn, checked, by)


def ensure_default(conn: Conn) -> None:
    """Publish the neutral rulebook where there is none; several processes may call this at once."""
    _lock(conn)
    if conn.execute("SELECT FROM rulebooks LIMIT 1").fetchone() is None:
        _insert(conn, NEUTRAL, By("", "shipped"))


async def load(pool: AsyncPool, held: Loaded | None = None) -> Loaded:
    """The active rulebook and the market values; the same object where nothing has changed since `held`."""
    async with pool.connection() as conn:
        row = await (await conn.execute(_MARK)).fetchone()
        if row is None or row["version"] is None:
            raise LookupError("no rulebook in the database: run `just migrate`")
        epoch = int(row.pop("epoch"))
        mark = tuple(row.values())
        if held is not None and held.mark == mark:
            return held if held.epoch == epoch else held._replace(epoch=epoch)
        rulebook, found = held and held.rulebook, held and held.values
        if held is None or mark[:2] != held.mark[:2]:
            found_row = await (
                await conn.execute("SELECT document::text FROM rulebooks WHERE version = %s", [row["version"]])
            ).fetchone()
            if found_row is None:
                raise LookupError(f"the rulebook {row['version']} has gone")
            # On a thread: a large rulebook takes tens of milliseconds.
            rulebook = await asyncio.to_thread(documents.decoded, found_row["document"])
        if held is None or mark[2:] != held.mark[2:]:
            cursor = await conn.execute(values.CURRENT.encode(), {"version": row["values_version"], "at": None})
            found = values.built(await cursor.fetchall(), row["values_version"])
    assert rulebook is not None  # noqa: S101 # read above, or held
    assert found is not None  # noqa: S101 # likewise
    return Loaded(row["version"], rulebook, found, mark, epoch)


def check_strategy(policy: ActivePolicy, product: ProductInput) -> None:
    """Refuse an unknown strategy, which is probably a typing error; a later policy may still drop strategies in use.

    Raises:
        InvalidInput: the product names a strategy that the policy does not have.
    """
    known = policy.policy.strategies
    if product.strategy is not None and product.strategy not in known:
        raise InvalidInput(f"unknown strategy; the policy has {', '.join(known)}", "$.strategy")


def _lock(conn: Conn) -> None:
    conn.execute("SELECT pg_advisory_xact_lock(hashtext('pricing-rulebook'))")


def _insert(conn: Conn, rulebook: Rulebook, by: By) -> RulebookVersion:
    values_ = [documents.encoded(rulebook).decode(), by.author, by.cause]
    row = conn.execute(_INSERT, values_).fetchone()
    assert row  # noqa: S101 # INSERT … RETURNING returns a row
    return RulebookVersion(row["version"], rulebook, by.author, by.cause, row["at"])


def _version(row: dict[str, object]) -> RulebookVersion:
    return RulebookVersion(**{**row, "rulebook": documents.decoded(str(row["rulebook"]))})  # type: ignore[arg-type] # a row


_SELECT = "SELECT version, document::text AS rulebook, author, cause, at FROM rulebooks"
_POLICY = "SELECT version, (document->'policy')::text AS policy FROM rulebooks ORDER BY version DESC LIMIT 1"

_LIST = """
SELECT version, author, cause, at FROM rulebooks WHERE %(before)s::bigint IS NULL OR version < %(before)s
ORDER BY version DESC LIMIT %(limit)s
"""

_INSERT = """
INSERT INTO rulebooks (version, document, author, cause, at)
SELECT coalesce(max(version), 0) + 1, %s, %s, %s, clock_timestamp() FROM rulebooks
RETURNING version, at
"""

# The times tell versions apart that a restored database counts anew.
_MARK = """
SELECT r.version, r.at, v.version AS values_version, v.recorded_at, current_epoch() AS epoch
FROM (SELECT version, at FROM rulebooks ORDER BY version DESC LIMIT 1) r
FULL JOIN (SELECT version, recorded_at FROM market_values ORDER BY version DESC, seq DESC LIMIT 1) v ON true
"""
