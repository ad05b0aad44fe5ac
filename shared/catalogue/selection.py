"""Selections: which rows of `products p` a statement is about, as a condition with its parameters."""

from collections.abc import Sequence
from typing import Any

import msgspec

from shared.catalogue.scope import Scope


class Selection(msgspec.Struct, frozen=True):
    """A condition on `products p`, and the values of its named parameters."""

    condition: str
    values: dict[str, Any]


def of_ids(product_ids: Sequence[str]) -> Selection:
    """These products; unknown ids are passed over."""
    return Selection("p.product_id = ANY(%(ids)s)", {"ids": list(product_ids)})


def of_scope(scope: Scope) -> Selection:
    """The products of a scope."""
    if scope.is_everything:
        return Selection("true", {})
    values = {"ids": list(scope.product_ids), "categories": list(scope.categories)}
    return Selection("(p.product_id = ANY(%(ids)s) OR p.category = ANY(%(categories)s))", values)


def of_range(scope: Scope, first: str, before: str | None) -> Selection:
    """The products of a scope from `first` on, up to but without `before`; None: to the end."""
    within = of_scope(scope)
    condition = f"p.product_id >= %(first)s AND {within.condition}"
    values = within.values | {"first": first}
    if before is None:
        return Selection(condition, values)
    return Selection(f"p.product_id < %(before)s AND {condition}", values | {"before": before})
