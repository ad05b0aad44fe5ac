"""What is asked for: the demo catalogue is hot, copies of its products are cold."""

import json
import random
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from shared.commands import demo
from shared.postgres import migrations, pools
from shared.rulebook import store as rulebook
from shared.settings import Settings

SEED = 20260301
LOCATIONS = ("NY", "LA", "MIA", "CHI", "TYO", "nowhere", None)
QUANTITIES = (1, 1, 1, 5, 25)
MEMBERS = 0.3
PROCESS = "bench"
HOT = tuple(product.product_id for product in demo.demo_products())

# Rows of the same size and content as those that they are copies of, whatever columns the tables have.
_COPY_PRODUCTS = """
INSERT INTO products SELECT (jsonb_populate_record(p, jsonb_build_object('product_id', p.product_id || '.' || n))).*
FROM products p, generate_series(1, %s) n
"""
_COPY_PRICES = """
INSERT INTO prices SELECT (jsonb_populate_record(r, jsonb_build_object(
    'product_id', r.product_id || '.' || n,
    'sheet', replace(r.sheet, to_json(r.product_id)::text, to_json(r.product_id || '.' || n)::text)))).*
FROM prices r, generate_series(1, %s) n
"""


def fill(settings: Settings, cold_products: int) -> list[str]:
    """Write the hot products and at least so many cold ones into an empty database; the cold ones, shuffled."""
    copies = -(-cold_products // len(HOT))
    migrations.migrate(settings)
    with pools.connect(settings, PROCESS) as conn:
        rulebook.ensure_default(conn)
        demo.ensure_markets(conn)
        demo.load(conn)
        if copies:
            conn.execute(_COPY_PRODUCTS, [copies])
            conn.execute(_COPY_PRICES, [copies])
    with pools.connect(settings, PROCESS) as conn:
        conn.execute("ANALYZE products, prices")
        # Read once, so that whoever asks first finds them in PostgreSQL's memory as the others do.
        conn.execute("SELECT sum(length(sheet)) FROM prices")
    cold = [f"{product_id}.{number}" for product_id in HOT for number in range(1, copies + 1)]
    random.Random(SEED).shuffle(cold)
    return cold


def queries(product_ids: Iterable[str], seed: int = SEED) -> Iterator[dict[str, object]]:
    """One query for each of these products: mixed locations, members and quantities, always the same."""
    dice = random.Random(seed)
    for product_id in product_ids:
        query: dict[str, object] = {"product_id": product_id}
        if location := dice.choice(LOCATIONS):
            query["user_location"] = location
        if dice.random() < MEMBERS:
            query["is_prime_member"] = True
        yield query | {"quantity": dice.choice(QUANTITIES)}


def hot_queries(count: int) -> list[dict[str, object]]:
    """So many queries for hot products in no order."""
    dice = random.Random(SEED)
    return list(queries(dice.choice(HOT) for _ in range(count)))


def write(path: Path, documents: Iterable[object]) -> Path:
    """Write them as wrk's script reads them, one a line."""
    path.write_text("".join(f"{json.dumps(document, separators=(',', ':'))}\n" for document in documents))
    return path


def bulks(queries: Iterable[dict[str, object]], size: int) -> Iterator[dict[str, list[dict[str, object]]]]:
    """The queries in bulks of this size, as POST /api/v1/prices takes them."""
    rest = iter(queries)
    while batch := list(islice(rest, size)):
        yield {"items": batch}
