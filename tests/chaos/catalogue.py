"""A case's catalogue: many products whose list price a run follows, and a few whose competitor the updates change."""

import csv
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from deploy.native.programs import REPOSITORY
from tests.chaos.environment import Environment

FIRST_PRICE = Decimal("100.00")
COLUMNS = ("product_id", "name", "currency", "category", "base_price", "strategy")
_EMPTY = "TRUNCATE products, prices, price_history, market_events, tasks, repricing_queue, holds, breaker_moves CASCADE"


@dataclass(frozen=True)
class Catalogue:
    """Products of one case.

    Attributes:
        hot: Those that follow the competitor `acme`; they stand evenly between the others.
        plain: Those that follow their list price.
    """

    hot: list[str]
    plain: list[str]


def make(environment: Environment, run: str, size: int, hot_size: int) -> Catalogue:
    """Replace the catalogue, its past, its events and its tasks by `size` new products named `RUN-000000` ….

    Nothing else may be at work.
    """
    ids = [f"{run}-{number:06}" for number in range(size)]
    step = size // hot_size
    hot = ids[step // 2 :: step][:hot_size]
    is_hot = set(hot)
    environment.engine.sql(_EMPTY)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "catalogue.csv"
        with file.open("w", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(COLUMNS)
            for product_id in ids:
                strategy = "match" if product_id in is_hot else "list_price"
                writer.writerow((product_id, f"Chaos {product_id}", "USD", "chaos", FIRST_PRICE, strategy))
        _import(environment, file)
    return Catalogue(hot, [product_id for product_id in ids if product_id not in is_hot])


def raise_list_prices(environment: Environment, catalogue: Catalogue, price: Decimal) -> None:
    """Change the list price of the plain products behind the engine's back: the next run has to find it."""
    environment.engine.sql("UPDATE products SET base_price = %s WHERE product_id = ANY(%s)", price, catalogue.plain)


def _import(environment: Environment, file: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "shared.commands", "import", str(file)],
        cwd=REPOSITORY,
        env={**os.environ, "PRICING_HOME": str(environment.engine.home)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"the catalogue could not be imported: {done.stdout}{done.stderr}"
