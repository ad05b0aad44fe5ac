"""Product sets: the products of a job, and the SQL condition that selects them."""

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from shared.postgres.pools import Conn


class ProductSet(msgspec.Struct, frozen=True, omit_defaults=True):
    """Products by id, products by category, or, with neither, everything."""

    product_ids: Annotated[tuple[str, ...], Meta(description="These products.", examples=[["P-100"]])] = ()
    categories: Annotated[tuple[str, ...], Meta(description="And these categories.", examples=[["grocery"]])] = ()

    @property
    def is_everything(self) -> bool:
        """Whether the set has every product."""
        return not self.product_ids and not self.categories

    def covers(self, other: "ProductSet") -> bool:
        """Whether every product of the other set is certainly in this one."""
        return self.is_everything or (
            not other.is_everything
            and set(self.product_ids) >= set(other.product_ids)
            and set(self.categories) >= set(other.categories)
        )

    def union(self, other: "ProductSet") -> "ProductSet":
        """The set of the products of both."""
        if self.is_everything or other.is_everything:
            return ProductSet()
        return ProductSet(
            tuple(sorted({*self.product_ids, *other.product_ids})),
            tuple(sorted({*self.categories, *other.categories})),
        )


def stored(document: object) -> ProductSet | None:
    """The product set of a row; None where it cannot be read."""
    try:
        return msgspec.convert(document, ProductSet)
    except msgspec.ValidationError:
        return None


class ProductFilter(msgspec.Struct, frozen=True):
    """A condition on `products p`, and the values of its named parameters."""

    condition: str
    values: dict[str, Any]


def of_ids(product_ids: Sequence[str]) -> ProductFilter:
    """These products; unknown ids are ignored."""
    return ProductFilter("p.product_id = ANY(%(ids)s)", {"ids": list(product_ids)})


def of_set(product_set: ProductSet) -> ProductFilter:
    """The products of a set."""
    if product_set.is_everything:
        return ProductFilter("true", {})
    values = {"ids": list(product_set.product_ids), "categories": list(product_set.categories)}
    return ProductFilter("(p.product_id = ANY(%(ids)s) OR p.category = ANY(%(categories)s))", values)


def of_range(product_set: ProductSet, first: str, before: str | None) -> ProductFilter:
    """The products of a set from `first` on, up to but without `before`; None: to the end."""
    within = of_set(product_set)
    condition = f"p.product_id >= %(first)s AND {within.condition}"
    values = within.values | {"first": first}
    if before is None:
        return ProductFilter(condition, values)
    return ProductFilter(f"p.product_id < %(before)s AND {condition}", values | {"before": before})


def walk(product_set: ProductSet, first: str, most: int) -> ProductFilter:
    """A query of the first products of a set from an id on, with their numbers from 0, in the order of the ids.

    It reads at most `most` entries of an index for everything, and for each category.
    """
    values: dict[str, Any] = {"first": first, "walked": most}
    if product_set.is_everything:
        return ProductFilter(_EVERYTHING, values)
    return ProductFilter(_CHOSEN, values | of_set(product_set).values)


def count(conn: Conn, chosen: ProductSet) -> int:
    """The number of products of a set."""
    within = of_set(chosen)
    [row] = conn.execute(f"SELECT count(*) AS n FROM products p WHERE {within.condition}".encode(), within.values)  # noqa: S608 # our own condition
    return int(row["n"])


def sample(conn: Conn, chosen: ProductSet, most: int) -> list[str]:
    """The ids of up to so many products of a set, at random, in order.

    Of a large catalogue as a whole, they are from three times as many of some pages of the table.
    """
    within = of_set(chosen)
    [row] = conn.execute("SELECT reltuples AS n FROM pg_class WHERE oid = 'products'::regclass").fetchall()
    drawn = ""
    if chosen.is_everything and row["n"] > SAMPLED_WHOLE:
        drawn = f"TABLESAMPLE SYSTEM ({min(100.0, 300.0 * most / row['n'])})"
    query = _SAMPLE.format(drawn, within.condition).encode()
    return sorted(each["product_id"] for each in conn.execute(query, within.values | {"most": most}))


# Below this many products, each is drawn by itself.
SAMPLED_WHOLE = 100_000
_SAMPLE = "SELECT p.product_id FROM products p {} WHERE {} ORDER BY random() LIMIT %(most)s"

_EVERYTHING = """
SELECT p.product_id, row_number() OVER (ORDER BY p.product_id) - 1 AS n FROM products p
WHERE p.product_id >= %(first)s ORDER BY p.product_id LIMIT %(walked)s
"""

_CHOSEN = """
SELECT product_id, row_number() OVER (ORDER BY product_id) - 1 AS n FROM (
    SELECT c.product_id FROM unnest(%(categories)s::text[]) AS wanted (category), LATERAL (
        SELECT p.product_id FROM products p WHERE p.category = wanted.category AND p.product_id >= %(first)s
        ORDER BY p.product_id LIMIT %(walked)s) c
    UNION
    SELECT p.product_id FROM products p WHERE p.product_id = ANY(%(ids)s::text[]) AND p.product_id >= %(first)s
) AS chosen ORDER BY product_id LIMIT %(walked)s
"""
