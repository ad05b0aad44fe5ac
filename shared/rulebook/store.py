"""Pricing policies: versioned documents; the newest one is active."""

import msgspec

from shared.errors import InvalidInput
from shared.postgres.pools import Conn
from shared.pricing.policy import DEFAULT_POLICY, Policy
from shared.pricing.product import ProductInput


class ActivePolicy(msgspec.Struct, frozen=True):
    """The active policy with its version."""

    version: int
    policy: Policy


def active(conn: Conn) -> ActivePolicy:
    """The newest policy."""
    row = conn.execute("SELECT version, document::text FROM policies ORDER BY version DESC LIMIT 1").fetchone()
    if row is None:
        raise LookupError("no policy in the database: run `just migrate`")
    return ActivePolicy(row["version"], msgspec.json.decode(row["document"], type=Policy))


def check_strategy(policy: ActivePolicy, product: ProductInput) -> None:
    """Refuse an unknown strategy, which is probably a typing error; a later policy may still drop strategies in use.

    Raises:
        InvalidInput: the product names a strategy that the policy does not have.
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
    assert row  # noqa: S101 # INSERT … RETURNING returns a row
    return int(row["version"])


def ensure_default(conn: Conn) -> None:
    """Publish the shipped policy where there is none; several processes may call this at once."""
    conn.execute("LOCK TABLE policies IN SHARE ROW EXCLUSIVE MODE")
    if conn.execute("SELECT 1 FROM policies").fetchone() is None:
        publish(conn, DEFAULT_POLICY)
