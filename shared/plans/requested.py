"""A requested plan, as the API and the command read it."""

from typing import Annotated

import msgspec
from msgspec import Meta

from shared.catalogue.product_set import ProductSet
from shared.plans.changes import Changes
from shared.plans.queries import MOST_QUERIES, ShopQuery
from shared.pricing.product import MAX_CATEGORY, ProductId

MOST_PRODUCTS = 10_000


class Products(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Chosen products: these, and those of the categories."""

    product_ids: Annotated[
        tuple[ProductId, ...], Meta(max_length=MOST_PRODUCTS, description="These", examples=[["P-100"]])
    ] = ()
    categories: Annotated[
        tuple[Annotated[str, Meta(max_length=MAX_CATEGORY)], ...],
        Meta(max_length=1000, description="All of these categories", examples=[["toys"]]),
    ] = ()


class NewPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Proposed changes."""

    changes: Changes
    products: Annotated[
        Products | None,
        Meta(
            description="Only these products: for a look, the plan cannot be applied. Default: all",
            examples=[{"categories": ["toys"]}],
        ),
    ] = None
    sample: Annotated[
        Annotated[int, Meta(ge=1, le=MOST_PRODUCTS)] | None,
        Meta(description="So many products at random: for a look. Default: all", examples=[1000]),
    ] = None
    queries: Annotated[
        tuple[ShopQuery, ...],
        Meta(
            max_length=MOST_QUERIES,
            description="Queries that customers make, with volumes: revenue and margin before and after",
            examples=[[{"name": "members in NY", "user_location": "NY", "is_prime_member": True, "volume": "120"}]],
        ),
    ] = ()

    def __post_init__(self) -> None:
        names = [each.name for each in self.queries]
        for index, name in enumerate(names):
            if name in names[:index]:
                raise ValueError(f"`queries[{index}].name` must be unique: results are shown by name")

    @property
    def chosen(self) -> ProductSet:
        """The chosen products; everything where none are chosen."""
        return (
            ProductSet() if self.products is None else ProductSet(self.products.product_ids, self.products.categories)
        )
