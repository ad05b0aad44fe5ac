"""Catalogues of any size, made by arithmetic in the database; and what makes their prices change."""

from decimal import Decimal

import msgspec
import psycopg

from deploy.native import state
from shared.postgres import pools
from shared.pricing.market_rules import CompetitorRule, Strategy
from shared.pricing.rulebook import NEUTRAL
from shared.rulebook import store as rulebook
from shared.rulebook.values import By
from tests.support.engine import Engine


def product_id(number: int) -> str:
    """The id of a product by its number, from 1 on."""
    return f"B-{number:07d}"


def fill(engine: Engine, products: int) -> None:
    """Make it the catalogue of so many products with two competitors each; none of them has a price yet."""
    engine.sql(
        "TRUNCATE products, signals, prices, price_history, market_events, tasks, run_partitions, repricing_queue"
    )
    engine.sql(_PRODUCTS, products)
    engine.sql(_SIGNALS, products)
    engine.redis.flushall()
    tidy(engine)


def tidy(engine: Engine) -> None:
    """Leave no housekeeping of PostgreSQL for the measurement."""
    with psycopg.connect(state.load(engine.home).superuser_url, autocommit=True) as conn:
        conn.execute("VACUUM ANALYZE")
        conn.execute("CHECKPOINT")


def change_all(engine: Engine, undercut: str) -> None:
    """Publish a policy by which every price is another one."""
    rule = CompetitorRule(undercut=Decimal(undercut), lowest=Decimal("0.2"), highest=Decimal(2))
    strategy = Strategy(competitor=rule)
    strategies = {**NEUTRAL.policy.strategies, "bench": strategy}
    policy = msgspec.structs.replace(NEUTRAL.policy, strategies=strategies, default_strategy="bench")
    with pools.connect(engine.settings, "bench") as conn:
        rulebook.change(conn, lambda held: msgspec.structs.replace(held, policy=policy), By("bench", "policy"))


def change_one_in_ten(engine: Engine) -> None:
    """Have the lowest competitor of every tenth product ask a little more."""
    engine.sql("UPDATE signals SET value = value + 0.01 WHERE source = 'acme' AND right(product_id, 1) = '0'")
    tidy(engine)


def bytes_per_product(engine: Engine, products: int) -> tuple[float, float]:
    """What PostgreSQL (products, signals, prices, history, with their indexes) and Redis hold for each."""
    held = float(engine.sql(_SIZES, ["products", "signals", "prices"])[0]["n"])
    memory = engine.redis.info("memory")
    assert isinstance(memory, dict)
    return held / products, float(memory["used_memory"]) / products


_PRODUCTS = """
INSERT INTO products (product_id, name, category, currency, base_price, cost, stock, tiers)
SELECT 'B-' || lpad(n::text, 7, '0'), 'Product ' || n, 'general', 'USD', (10 + n %% 90)::numeric(12, 2), 5, n %% 250,
    CASE n %% 2 WHEN 0 THEN '[]' ELSE jsonb_build_array(
        jsonb_build_object('up_to', 9, 'unit_price', (10 + n %% 90)::text || '.00'),
        jsonb_build_object('up_to', NULL, 'unit_price', (9 + n %% 90)::text || '.00')) END
FROM generate_series(1, %s) AS n
"""

_SIZES = """
SELECT sum(pg_total_relation_size(oid)) AS n FROM pg_class
WHERE relkind = 'r' AND (relname = ANY(%s) OR relname ~ '^price_history')
"""

_SIGNALS = """
INSERT INTO signals (product_id, kind, source, value, currency, occurred_at, event_id)
SELECT 'B-' || lpad(n::text, 7, '0'), 'competitor', competitor, round((10 + n %% 90) * share, 2), 'USD', now(), 'bench'
FROM generate_series(1, %s) AS n, (VALUES ('acme', 0.95), ('globex', 0.99)) AS r (competitor, share)
"""
