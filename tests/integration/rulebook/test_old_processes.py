"""Policies and markets of the version before become parts of the rulebook, also while its processes still write."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec
import pytest
from msgspec.structs import asdict, replace

from shared.postgres import migrations, pools
from shared.postgres.pools import Conn
from shared.pricing.change_limits import ChangeLimits
from shared.pricing.policy import DEFAULT_POLICY, Policy
from shared.rulebook import store, values
from shared.rulebook.values import By, NewValue
from shared.settings import Settings

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
STRICT = msgspec.structs.replace(DEFAULT_POLICY, min_margin=Decimal("0.3"))
BY = By("ann", "test")

OLD_FIELDS = {"membership_rate", "rounding", "max_step", "max_over_list", "min_margin", "strategies", "categories"} | {
    "default_strategy"
}
# Of a strategy; the version before refuses others.
OLD_RULES = {"competitor": {"undercut", "lowest", "highest"}, "demand": {"lowest", "highest"}}

# As the version before wrote.
PUBLISH = "INSERT INTO policies (document) VALUES (%s) RETURNING version"
ACTIVE = "SELECT version, document::text FROM policies ORDER BY version DESC LIMIT 1"
CHANGE = """
INSERT INTO markets AS m (code, multiplier, occurred_at, event_id) VALUES (%s, %s, %s, %s)
ON CONFLICT (code) DO UPDATE SET multiplier = excluded.multiplier,
    version = m.version + ((m.occurred_at, m.event_id) < (excluded.occurred_at, excluded.event_id))::integer,
    occurred_at = excluded.occurred_at, event_id = excluded.event_id
WHERE (m.occurred_at, m.event_id) <= (excluded.occurred_at, excluded.event_id)
RETURNING version
"""


@pytest.fixture
def old(new_database: Callable[[], Settings]) -> Settings:
    """A database that the version before has written, and this one has migrated."""
    settings = new_database()
    migrations.migrate(settings, "0013")
    with pools.connect(settings, "tests") as conn:
        for policy in (DEFAULT_POLICY, STRICT):
            publish(conn, policy)
        conn.execute("INSERT INTO markets (code, multiplier) VALUES ('DEFAULT', 0.95), ('NY', 1.1), ('Ny', 1.2)")
        conn.execute(CHANGE, ["TYO", "1.04", NOON, "e-1"])
    migrations.migrate(settings)
    return settings


@pytest.fixture
def conn(old: Settings) -> Iterator[Conn]:
    """A connection to it."""
    with pools.connect(old, "tests") as conn:
        yield conn


def publish(conn: Conn, policy: Policy) -> int:
    row = conn.execute(PUBLISH, [msgspec.json.encode(fields(policy)).decode()]).fetchone()
    assert row
    return int(row["version"])


def fields(policy: Policy) -> dict[str, object]:
    """Those that the version before has."""
    return {name: value for name, value in asdict(policy).items() if name in OLD_FIELDS}


def multipliers(conn: Conn) -> dict[str, Decimal | None]:
    return {code: timeline[-1].value for code, timeline in values.load(conn).multipliers.items()}


def test_policies_keep_their_versions_and_markets_their_multipliers(conn: Conn) -> None:
    active = store.active(conn)
    assert (active.version, fields(active.rulebook.policy)) == (2, fields(STRICT))
    assert fields(store.by_version(conn, 1).rulebook.policy) == fields(DEFAULT_POLICY)
    assert set(active.rulebook.markets) == {"DEFAULT", "NY", "TYO"}
    assert multipliers(conn) == {"DEFAULT": Decimal("0.95"), "NY": Decimal("1.1"), "TYO": Decimal("1.04")}
    assert values.apply_event(conn, "TYO", Decimal(2), NOON - timedelta(1), "late") is None
    # It is a valid rulebook: a part of it can be changed.
    store.change(conn, lambda held: replace(held, policy=replace(held.policy, stacking="best")), BY)


def test_an_old_process_publishes_a_policy(conn: Conn) -> None:
    store.change(conn, lambda held: replace(held, policy=replace(held.policy, stacking="best")), BY)
    assert publish(conn, DEFAULT_POLICY) == 4
    active = store.active(conn)
    assert (active.version, fields(active.rulebook.policy)) == (4, fields(DEFAULT_POLICY))
    # What the old process does not know stays.
    assert active.rulebook.policy.stacking == "best"
    assert "TYO" in active.rulebook.markets


def test_the_step_that_an_old_process_publishes_replaces_newer_ones(conn: Conn) -> None:
    limits = ChangeLimits(max_step_up=Decimal("0.1"), min_minutes=7)
    store.change(conn, lambda held: replace(held, policy=replace(held.policy, max_step=None, change_limits=limits)), BY)
    publish(conn, DEFAULT_POLICY)
    policy = store.active(conn).rulebook.policy
    assert (policy.max_step, policy.change_limits) == (Decimal("0.20"), ChangeLimits(min_minutes=7))


def test_an_old_process_reads_the_policy_of_a_new_rulebook(conn: Conn) -> None:
    store.change(conn, lambda held: replace(held, policy=replace(held.policy, stacking="best")), BY)
    row = conn.execute(ACTIVE).fetchone()
    assert row
    document = msgspec.json.decode(row["document"])
    assert (row["version"], set(document)) == (3, OLD_FIELDS)
    for strategy in document["strategies"].values():
        assert set(strategy) == set(OLD_RULES)
        assert all(set(rule) <= OLD_RULES[name] for name, rule in strategy.items() if rule is not None)
    assert msgspec.convert(document, Policy) == STRICT


def test_an_old_worker_changes_a_market_and_a_new_one_goes_on(conn: Conn) -> None:
    assert conn.execute(CHANGE, ["TYO", "1.5", NOON + timedelta(seconds=2), "e-2"]).fetchone() == {"version": 2}
    assert conn.execute(CHANGE, ["new", "1.7", NOON, "e-3"]).fetchone() == {"version": 1}
    assert values.apply_event(conn, "TYO", Decimal(2), NOON + timedelta(seconds=1), "e-4") is None
    assert multipliers(conn) | {"TYO": Decimal("1.5"), "new": Decimal("1.7")} == multipliers(conn)


def test_an_old_process_reads_new_multipliers(conn: Conn) -> None:
    values.apply_event(conn, "tyo", Decimal(2), NOON + timedelta(seconds=2), "e-2")
    values.add(conn, [NewValue("multiplier", "NY", None), NewValue("multiplier", "DEFAULT", None)], BY)
    rows = conn.execute("SELECT code, multiplier FROM markets").fetchall()
    assert {row["code"]: row["multiplier"] for row in rows} == {"DEFAULT": Decimal(1), "tyo": Decimal(2)}
    # An event that an old worker reads late is superseded for it, too.
    assert conn.execute(CHANGE, ["tyo", "1.5", NOON, "e-1"]).fetchone() is None
