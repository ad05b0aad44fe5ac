"""Lists of products: a word finds whatever has it, common or rare, and an id is found by its beginning."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast, get_args

import msgspec
import pytest

from shared.catalogue import listing, products
from shared.catalogue.listing import Column, ListedProduct, Order, Search
from shared.postgres.pools import Conn, Pool
from shared.prices import published
from shared.prices.new_versions import Cause
from shared.pricing.product import ProductInput
from shared.rulebook.store import ActivePolicy

# The same in every process that collects these tests; the products are never committed.
MARK = "4953d50f"
PRODUCTS: dict[str, dict[str, Any]] = {
    f"{MARK}-1": {"name": "Blue-Ray player, 4K", "category": "Audio/Video", "brand": "O'Neill", "tags": ["new", "b&w"]},
    f"{MARK}-2": {"name": "Kettle 1.7 l (steel)", "category": "kitchen", "tags": ['6"', "red wine"]},
    f"x {MARK}/3": {"name": "Käsereibe \\ fein", "category": "kitchen", "tags": ["RED"]},
}


@contextmanager
def listed(pool: Pool, policy: ActivePolicy) -> Iterator[Conn]:
    """A connection that sees the products, which nobody else ever does."""
    with pool.connection() as conn, conn.transaction(force_rollback=True):
        rows = [
            msgspec.convert({"product_id": product_id, "currency": "USD", "base_price": "100"} | fields, ProductInput)
            for product_id, fields in PRODUCTS.items()
        ]
        published.write_products(conn, rows, policy, Cause("write", "test"))
        yield conn


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("ray", [1]), ("BLUE-RAY", [1]), ("blue play", [1]), ("o'neill", [1]), ("video", [1]), ("kett ste", [2]),
        ("1.7", [2]), ("kitchen", [2, 3]), ("käse", [3]), ("wine", [2]), ("red", [2, 3]), (MARK, [1, 2]),
        (MARK.upper(), [1, 2]), (f"{MARK}-2", [2]), (f"X {MARK}/", [3]), (f"x {MARK}/", [3]), ("kettle player", []),
        ("\\", [3]), ("'", []), ("&", []), ("|", []), ("!", []), ("---", []), (":*", []), ("etl", []),
    ],
)  # fmt: skip
def test_words_fit_by_their_beginnings(pool: Pool, policy: ActivePolicy, words: str, found: list[int]) -> None:
    ids = list(PRODUCTS)
    with listed(pool, policy) as conn:
        rows = listing.page(conn, Search(words=words), ListedProduct, 1_000, None)
        assert [row.product_id for row in rows if row.product_id in ids] == [ids[number - 1] for number in found]


@pytest.mark.parametrize(
    ("tag", "found"),
    [("new", [1]), ("red wine", [2]), ("red", []), ("RED", [3]), ('6"', [2]), ("b&w", [1]), ("wine", [])],
)
def test_a_tag_fits_as_a_whole(pool: Pool, policy: ActivePolicy, tag: str, found: list[int]) -> None:
    ids = list(PRODUCTS)
    with listed(pool, policy) as conn:
        rows = listing.page(conn, Search(tag=tag), ListedProduct, 1_000, None)
        assert [row.product_id for row in rows if row.product_id in ids] == [ids[number - 1] for number in found]


@pytest.mark.parametrize("walked", [1, 1_000])
def test_pages_are_the_same_by_the_walk_and_by_the_index(
    pool: Pool, policy: ActivePolicy, monkeypatch: pytest.MonkeyPatch, walked: int
) -> None:
    monkeypatch.setattr(listing, "WALKED", walked)
    with listed(pool, policy) as conn:
        pages: list[str] = []
        while page := listing.page(conn, Search(words="kitchen"), ListedProduct, 1, (pages[-1],) if pages else None):
            pages.append(page[0].product_id)
    assert [product_id for product_id in pages if MARK in product_id] == [list(PRODUCTS)[1], list(PRODUCTS)[2]]


def test_categories_are_listed_once(pool: Pool, policy: ActivePolicy) -> None:
    with listed(pool, policy) as conn:
        found = listing.categories(conn)
        assert {"Audio/Video", "kitchen"} <= set(found)
        assert len(found) == len(set(found))
        assert len(listing.categories(conn, 1)) == 1
        assert products.view(conn, f"{MARK}-1").product.category == "Audio/Video"


@pytest.mark.parametrize("search", [Search(), Search(category="kitchen"), Search(words="kit"), Search(words="x")])
@pytest.mark.parametrize("column", get_args(Column))
@pytest.mark.parametrize("descending", [False, True])
def test_a_list_is_sorted_and_paged_in_every_order(
    pool: Pool, policy: ActivePolicy, search: Search, column: Column, descending: bool
) -> None:
    order = Order(column, descending)
    with listed(pool, policy) as conn:
        whole = listing.page(conn, search, ListedProduct, 10_000, None, order)
        paged: list[ListedProduct] = []
        while page := listing.page(conn, search, ListedProduct, 7, order.position(paged[-1]) if paged else None, order):
            paged += page
    assert paged == whole == sorted(whole, key=order.position, reverse=descending)
    assert len({row.product_id for row in whole}) == len(whole) > 0


class Explaining:
    """A connection that keeps the plans of the statements that find ids, as they are on a large table."""

    def __init__(self, conn: Conn) -> None:
        self._conn = conn
        self.plan: list[str] = []
        for way in ("seqscan", "sort", "bitmapscan"):
            conn.execute(f"SET LOCAL enable_{way} = off".encode())

    def execute(self, query: str | bytes, values: Any = None, **options: Any) -> Any:
        """Explain and execute."""
        if isinstance(query, bytes) and query.startswith(b"SELECT p.product_id"):
            plan = self._conn.execute(b"EXPLAIN " + query, values)
            self.plan += [row["QUERY PLAN"].strip().removeprefix("->  ") for row in plan]
        return self._conn.execute(query, values, **options)


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize(
    ("column", "index"),
    [("product_id", "products_pkey"), ("name", "products_by_name"), ("category", "products_by_category")],
)
def test_the_next_page_of_a_sorted_list_reads_its_index_alone(
    pool: Pool, column: Column, index: str, descending: bool
) -> None:
    order = Order(column, descending)
    with pool.connection() as conn, conn.transaction(force_rollback=True):
        explaining = Explaining(conn)
        after = ("m",) * len(order.columns)
        listing.page(cast(Conn, explaining), Search(), ListedProduct, 50, after, order)
    assert any(index in line for line in explaining.plan), explaining.plan
    assert any(line.startswith("Index Cond:") for line in explaining.plan), explaining.plan
    assert not any(line.startswith(("Sort", "Seq Scan")) for line in explaining.plan), explaining.plan
