"""Scopes: which products a background job is about."""

from typing import Annotated

import msgspec
from msgspec import Meta

from shared.market_events import RecalculationRequested


class Scope(msgspec.Struct, frozen=True, omit_defaults=True):
    """Products by id, products by category, or, with neither, everything."""

    product_ids: Annotated[tuple[str, ...], Meta(description="These products.", examples=[["P-100"]])] = ()
    categories: Annotated[tuple[str, ...], Meta(description="And these categories.", examples=[["grocery"]])] = ()

    @classmethod
    def of(cls, request: RecalculationRequested) -> "Scope":
        """What a request asks for."""
        return cls(request.product_ids or (), (request.category,) if request.category else ())

    @property
    def is_everything(self) -> bool:
        """Whether it holds every product."""
        return not self.product_ids and not self.categories

    def covers(self, other: "Scope") -> bool:
        """Whether each product of the other is, for certain, a product of this one."""
        return self.is_everything or (
            not other.is_everything
            and set(self.product_ids) >= set(other.product_ids)
            and set(self.categories) >= set(other.categories)
        )

    def union(self, other: "Scope") -> "Scope":
        """The scope that holds the products of both."""
        if self.is_everything or other.is_everything:
            return Scope()
        return Scope(
            tuple(sorted({*self.product_ids, *other.product_ids})),
            tuple(sorted({*self.categories, *other.categories})),
        )
