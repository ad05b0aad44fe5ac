"""Catalogues of any size, made by arithmetic in the database; and what makes their prices change."""

from datetime import UTC, datetime
from decimal import Decimal

import msgspec
import psycopg

from deploy.native import state
from shared.postgres import pools
from shared.pricing.change_limits import ChangeLimits, QuietHours
from shared.pricing.market_rules import (
    CompetitorRule,
    CostPlusRule,
    DemandRule,
    Position,
    StockPoint,
    StockRule,
    Strategy,
)
from shared.pricing.policy import Breaker
from shared.pricing.rulebook import NEUTRAL
from shared.rulebook import store as rulebook
from shared.rulebook.values import By
from tests.support.engine import Engine


def product_id(number: int) -> str:
    """The id of a product by its number, from 1 on."""
    return f"B-{number:07d}"


def fill(engine: Engine, products: int) -> None:
    """Make it the catalogue of so many products with two competitors and a demand each; none has a price yet."""
    engine.sql(
        "TRUNCATE products, signals, prices, price_history, market_events, tasks, run_partitions, repricing_queue"
    )
    engine.sql(_PRODUCTS, products)
    engine.sql(_SIGNALS, products, products)
    engine.redis.flushall()
    tidy(engine)


def tidy(engine: Engine) -> None:
    """Leave no housekeeping of PostgreSQL for the measurement."""
    with psycopg.connect(state.load(engine.home).superuser_url, autocommit=True) as conn:
        conn.execute("VACUUM ANALYZE")
        conn.execute("CHECKPOINT")


def change_all(engine: Engine, undercut: str) -> None:
    """Publish a policy with every rule, by which every price is another one. The breaker counts and never opens."""
    strategies = {**NEUTRAL.policy.strategies, **_strategies(Decimal(undercut))}
    policy = msgspec.structs.replace(
        NEUTRAL.policy,
        strategies=strategies,
        max_step=None,  # the limits of `change_limits` stand in its place
        default_strategy="market",
        categories={"made to order": "cost"},
        change_limits=_limits(),
        hold_above=Decimal(1),
        breaker=Breaker(share=Decimal(1)),
        automation={"antiques": "observe"},
        pause_in_promotion=True,
    )
    with pools.connect(engine.settings, "bench") as conn:
        rulebook.change(conn, lambda held: msgspec.structs.replace(held, policy=policy), By("bench", "policy"))


def _limits() -> ChangeLimits:
    """Limits that are checked, and that no price reaches: it is half a day to the quiet hours."""
    night = (datetime.now(UTC).hour + 12) % 24
    return ChangeLimits(
        max_step_up=Decimal(1),
        max_step_down=Decimal("0.9"),
        max_day_up=Decimal(5),
        max_day_down=Decimal("0.9"),
        changes_a_day=24,
        quiet_hours=QuietHours(from_=f"{night:02}:00", until=f"{night:02}:30"),
    )


def _strategies(undercut: Decimal) -> dict[str, Strategy]:
    competitor = CompetitorRule(
        except_=("initech",),
        own=("our outlet",),
        with_shipping=True,
        position=Position(percent=undercut * 100),
        lowest=Decimal("0.2"),
        highest=Decimal(2),
    )
    demand = DemandRule(lowest=Decimal("0.8"), highest=Decimal("1.25"))
    points = ((0, "1.1"), (100, "1"), (200, "0.95"))
    stock = StockRule(points=tuple(StockPoint(stock=at, multiplier=Decimal(by)) for at, by in points))
    return {
        "market": Strategy(competitor=competitor, demand=demand, stock=stock),
        "cost": Strategy(competitor=competitor, cost_plus=CostPlusRule(markup=Decimal("0.5") + undercut)),
    }


def change_one_in_ten(engine: Engine) -> None:
    """Have the lowest competitor of every tenth product ask a little more."""
    engine.sql("UPDATE signals SET value = value + 0.01 WHERE source = 'acme' AND right(product_id, 1) = '0'")
    tidy(engine)


def follows_competitors(number: int) -> bool:
    """Whether a product's price follows its competitors'; the others follow their cost."""
    return number % 10 != 5


def history(engine: Engine) -> tuple[float, int]:
    """The bytes of the price history, with its indexes, and its rows."""
    [row] = engine.sql(_HISTORY)
    return float(row["bytes"]), int(row["n"])


def bytes_per_product(engine: Engine, products: int) -> tuple[float, float]:
    """What PostgreSQL (products, signals, prices, history, with their indexes) and Redis hold for each."""
    held = float(engine.sql(_SIZES, ["products", "signals", "prices"])[0]["n"])
    memory = engine.redis.info("memory")
    assert isinstance(memory, dict)
    return held / products, float(memory["used_memory"]) / products


_PRODUCTS = """
INSERT INTO products (product_id, name, category, currency, base_price, cost, min_price, max_price, stock, tiers)
SELECT 'B-' || lpad(n::text, 7, '0'), 'Product ' || n,
    CASE n %% 10 WHEN 5 THEN 'made to order' ELSE 'general' END, 'USD',
    (10 + n %% 90)::numeric(12, 2), round((10 + n %% 90) * 0.6, 2), round((10 + n %% 90) * 0.5, 2), (10 + n %% 90) * 2,
    n %% 250,
    CASE n %% 2 WHEN 0 THEN '[]' ELSE jsonb_build_array(
        jsonb_build_object('up_to', 9, 'unit_price', (10 + n %% 90)::text || '.00'),
        jsonb_build_object('up_to', NULL, 'unit_price', (9 + n %% 90)::text || '.00')) END
FROM generate_series(1, %s) AS n
"""

_SIZES = """
SELECT sum(pg_total_relation_size(oid)) AS n FROM pg_class
WHERE relkind = 'r' AND (relname = ANY(%s) OR relname ~ '^price_history')
"""

_HISTORY = """
SELECT sum(pg_total_relation_size(oid)) AS bytes, (SELECT count(*) FROM price_history) AS n
FROM pg_class WHERE relkind = 'r' AND relname ~ '^price_history'
"""

_SIGNALS = """
INSERT INTO signals (product_id, kind, source, value, currency, occurred_at, event_id)
SELECT 'B-' || lpad(n::text, 7, '0'), 'competitor', competitor, round((10 + n %% 90) * share, 2), 'USD', now(), 'bench'
FROM generate_series(1, %s) AS n, (VALUES ('acme', 0.95), ('globex', 0.99)) AS r (competitor, share)
UNION ALL
SELECT 'B-' || lpad(n::text, 7, '0'), 'demand', 'shop', 1 + (n %% 9) * 0.01, NULL, now(), 'bench'
FROM generate_series(1, %s) AS n
"""
