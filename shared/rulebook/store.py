"""Pricing policies: versioned documents, of which the newest is the active one."""

import msgspec

from shared.errors import InvalidInput
from shared.postgres.pools import Conn
from shared.pricing.policy import DEFAULT_POLICY, Policy
from shared.pricing.product import ProductInput


class ActivePolicy(msgspec.Struct, frozen=True):
    """The policy by which prices are decided now."""

    version: int
    policy: Policy


def active(conn: Conn) -> ActivePolicy:
    """The newest policy."""
    row = conn.execute("SELECT version, document::text FROM policies ORDER BY version DESC LIMIT 1").fetchone()
    if row is None:
        raise LookupError("no policy in the database: run `just migrate`")
    return ActivePolicy(row["version"], msgspec.json.decode(row["document"], type=Policy))


def check_strategy(policy: ActivePolicy, product: ProductInput) -> None:
    """Refuse what is probably a slip; a policy may later drop a strategy that products name.

    Raises:
        InvalidInput: the product names a strategy that the policy does not know.
    """
    known = policy.policy.strategies
    if product.strategy is not None and product.strategy not in known:
        raise InvalidInput(f"unknown strategy; the policy has {', '.join(known)}", "$.strategy")


def publish(conn: Conn, policy: Policy) -> int:
    """Make a policy the active one; returns its version."""
    row = conn.execute(
        "INSERT INTO policies (document) VALUES (%s) RETURNING version",
        [msgspec.json.encode(policy).decode()],
    ).fetchone()
    assert row  # noqa: S101 # INSERT … RETURNING answers a row
    return int(row["version"])


def ensure_default(conn: Conn) -> None:
    """Publish the shipped policy where there is none; safe to call by several at once."""
    conn.execute("LOCK TABLE policies IN SHARE ROW EXCLUSIVE MODE")
    if conn.execute("SELECT 1 FROM policies").fetchone() is None:
        publish(conn, DEFAULT_POLICY)
