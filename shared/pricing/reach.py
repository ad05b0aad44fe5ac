"""The reach of rules: which of them can touch a product."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Generic

from shared.pricing.product import ProductInput
from shared.pricing.rule_pool import Part, Pool, Rule
from shared.pricing.rulebook import AppliesTo
from shared.pricing.sheet import PriceSheet

_MOST_POOLS = 4_096  # by the rules of products


class Reach(Generic[Part]):
    """Rules by the products to which they apply."""

    def __init__(self, rules: Iterable[tuple[Rule[Part], AppliesTo | None]]) -> None:
        everything: list[Rule[Part]] = []
        self._named: dict[tuple[str, str], list[Rule[Part]]] = defaultdict(list)
        for rule, applies_to in rules:
            if applies_to is None:
                everything.append(rule)
                continue
            for field in AppliesTo.__struct_fields__:
                for name in getattr(applies_to, field) or ():
                    self._named[field, name].append(rule)
        self.everything = Pool(everything) if everything else None
        # By the rules in them: most products of a category share one.
        self._pools: dict[tuple[int, ...], Pool[Part]] = {}

    def of(self, sheet: PriceSheet | ProductInput) -> list[Rule[Part]]:
        """The rules that name the product, its category, its brand or one of its tags, each once."""
        if not self._named:
            return []
        names = [("products", sheet.product_id), ("categories", sheet.category)]
        names += [("brands", sheet.brand)] if sheet.brand is not None else []
        names += [("tags", tag) for tag in sheet.tags]
        return list({id(rule): rule for name in names for rule in self._named.get(name, ())}.values())

    def pools(self, sheet: PriceSheet) -> Iterator[Pool[Part]]:
        """The rules that can touch the product, in one or two pools."""
        if rules := self.of(sheet):
            key = tuple(map(id, rules))
            pool = self._pools.get(key)
            if pool is None:
                if len(self._pools) >= _MOST_POOLS:
                    self._pools.clear()
                pool = self._pools[key] = Pool(rules)
            yield pool
        if self.everything is not None:
            yield self.everything
