"""A shop whose prices are decided, planned and published, each call in a transaction of its own."""

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from itertools import islice
from typing import Any, NamedTuple, TypeVar
from uuid import UUID, uuid4

import msgspec

from shared.cache import commands, sheets
from shared.catalogue.product_set import ProductSet
from shared.messaging.cluster import Command
from shared.messaging.messages import Enqueuer
from shared.plans import application, making, store, views
from shared.plans.changes import Change
from shared.plans.making import Made
from shared.plans.store import Author
from shared.plans.views import ItemFilter, ItemView, PlanView
from shared.prices import published, states
from shared.prices.new_versions import Cause
from shared.pricing.product import ProductInput
from shared.rulebook import store as rulebook
from shared.rulebook.store import By
from tests.integration.catalogue_examples import add_competitors, product
from workers.jobs import plans
from workers.services import Services

BY = By("shop", "a test")
# Of one transaction: PostgreSQL ends one whose process computes for too long, which a busy machine does sooner.
BATCH = 1_000
# One call of a job works for so long at most. No worker of a test takes a second message.
JOB_S = 600.0
T = TypeVar("T")


class NoQueue(Enqueuer):
    """Nobody reads its messages."""

    def __init__(self) -> None:
        """Nothing is connected."""

    def _send(self, queue: str, actor: str, *args: Any, message_id: str | None = None, delay_ms: int = 0) -> None:
        """The test runs the job itself."""


class Price(NamedTuple):
    """A published price, and the target that waits for a person."""

    price: Decimal
    held: Decimal | None


class Shop:
    """Its services, and its products by their numbers."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self._prefix = f"P-{uuid4().hex[:8]}"

    def ids(self, number: int) -> list[str]:
        """Ids of this shop alone, in order: all tests share Redis."""
        return [f"{self._prefix}-{index:06}" for index in range(number)]

    def write(self, *written: ProductInput) -> None:
        """A person writes products."""
        for some in batched(written, BATCH):
            with self.services.pool.connection() as conn:
                published.write_products(conn, some, rulebook.active_policy(conn), Cause("write", str(uuid4())))

    def stock(self, number: int, **fields: Any) -> list[str]:
        """New products of 100.00 USD, whose competitor asks 95.00; their ids in order."""
        ids = self.ids(number)
        self.write(*(product(product_id, **fields) for product_id in ids))
        self.offer(dict.fromkeys(ids, "95.00"))
        return ids

    def offer(self, prices: dict[str, str]) -> None:
        """A competitor asks these prices, and automation decides."""
        for some in batched(prices.items(), BATCH):
            with self.services.pool.connection() as conn:
                add_competitors(conn, dict(some))
                ids = [product_id for product_id, _ in some]
                published.reprice(conn, ids, rulebook.active_policy(conn), Cause("event", str(uuid4())))

    def policy(self, **fields: Any) -> Change:
        """A change of the policy in force."""
        with self.services.pool.connection() as conn:
            policy = rulebook.active(conn).rulebook.policy
        return Change(policy=msgspec.structs.replace(policy, **fields))

    def request(self, *proposed: Change, chosen: ProductSet | None = None, **options: Any) -> Made:
        """A plan that waits."""
        with self.services.pool.connection() as conn:
            return making.make(conn, proposed, Author("shop", None), "", chosen or ProductSet(), **options)

    def plan(self, *proposed: Change, chosen: ProductSet | None = None, **options: Any) -> PlanView:
        """A plan that is made."""
        made = self.request(*proposed, chosen=chosen, **options)
        plans.make(self.services, made.task_id, JOB_S)
        return self.view(made.plan_id)

    def begin(self, plan_id: UUID) -> UUID | None:
        """Put a plan's rulebook in force; the task that publishes its prices."""
        with self.services.pool.connection() as conn:
            by = By("shop", f"plan {plan_id}")
            return application.begin(conn, store.locked(conn, plan_id), by, "").task_id

    def apply(self, plan_id: UUID) -> PlanView:
        """Apply a plan to its end."""
        if (task_id := self.begin(plan_id)) is not None:
            plans.apply(self.services, task_id, JOB_S)
        return self.view(plan_id)

    def view(self, plan_id: UUID) -> PlanView:
        with self.services.pool.connection() as conn:
            return views.view(conn, plan_id)

    def items(self, plan_id: UUID, **chosen: Any) -> list[ItemView]:
        """All items of a plan, by product."""
        with self.services.pool.connection() as conn:
            return views.items(conn, plan_id, ItemFilter(**chosen), "product_id", 1_000_000, None)

    def planned(self, plan_id: UUID) -> dict[str, Price]:
        """The prices after the plan, moved or not, by product."""
        items = self.items(plan_id, market="")
        moved = {item.product_id: Price(item.new_price or Decimal(0), item.held) for item in items}
        gone = {item.product_id for item in items if item.new_price is None}
        prices = self.prices() | moved
        return {product_id: price for product_id, price in prices.items() if product_id not in gone}

    def prices(self) -> dict[str, Price]:
        """The published prices and open holds, by product."""
        with self.services.pool.connection() as conn:
            rows = conn.execute("SELECT product_id, published_price, computed_at, state FROM prices").fetchall()
        return {row["product_id"]: Price(row["published_price"], _held(row)) for row in rows}

    def sheets(self) -> list[tuple[Any, ...]]:
        """Everything that a plan must leave alone: sheets and states, history, holds, what is due, and Redis."""
        with self.services.pool.connection() as conn:
            found = [conn.execute(query).fetchall() for query in _TABLES]
        ids = sorted(self.prices())
        cached = commands.run(self.services.cache, [Command("", ("GET", sheets.key(product_id))) for product_id in ids])
        return [*(tuple(map(str, rows)) for rows in found), tuple(map(str, cached))]

    def digest(self) -> list[str]:
        """As `sheets`, as a digest of each table, for many products; without Redis."""
        with self.services.pool.connection() as conn:
            rows = [conn.execute(_DIGEST.format(query).encode()).fetchone() for query in _TABLES]
        return [row["digest"] for row in rows if row]


def _held(row: dict[str, Any]) -> Decimal | None:
    hold = states.state_of(row["state"], row["published_price"], row["computed_at"]).hold
    return None if hold is None else hold.target


def ids_of(items: Sequence[ItemView]) -> list[str]:
    return [item.product_id for item in items]


def batched(rows: Iterable[T], size: int) -> Iterator[list[T]]:
    left = iter(rows)
    while some := list(islice(left, size)):
        yield some


_DIGEST = "SELECT md5(string_agg(md5(t::text), '')) AS digest FROM ({}) t"
_TABLES: tuple[Any, ...] = (
    "SELECT product_id, version, sheet, state, next_due, cause FROM prices ORDER BY product_id",
    "SELECT product_id, version, new_price FROM price_history ORDER BY product_id, version",
    "SELECT hold_id, product_id, target, status FROM holds ORDER BY hold_id",
    "SELECT target, due_at FROM repricing_queue ORDER BY target",
    "SELECT max(version) FROM rulebooks",
    "SELECT is_open FROM breaker",
    "SELECT product_id FROM breaker_moves ORDER BY product_id",
)
