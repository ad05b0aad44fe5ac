"""A plan's proposal, worked out: the rulebook and the market values before and after its changes."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from datetime import datetime
from threading import Lock
from typing import NamedTuple
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from shared.catalogue.product_set import ProductSet
from shared.plans import contents, public_prices
from shared.plans import store as plans
from shared.plans.changes import Change
from shared.plans.contents import Entries
from shared.plans.public_prices import Both, PublicPrices
from shared.plans.store import Plan
from shared.postgres.pools import Conn
from shared.pricing.compiled import CompiledRulebook, Terms
from shared.pricing.policy import Policy
from shared.pricing.product import ProductInput
from shared.pricing.rulebook import Rulebook
from shared.pricing.state import ManualPrice
from shared.rulebook import parts, store, values
from shared.rulebook.parts import PartName
from shared.rulebook.store import ActivePolicy

# Each is at most a few times 1 MB.
KEPT = 4


class Proposal(Struct, frozen=True):
    """The arguments that all decisions of a plan share.

    Attributes:
        before: The rulebook that the plan changes.
        after: The rulebook after its changes, which is written nowhere.
        version: The version that sheets get: that of the rulebook before, or of the one that the application made.
        products: The products that the changes write, by id.
        manual_prices: The manual prices that they set, by product; None: they end it.
        entries: The entries of price lists that they write.
        deleted: The products that they delete.
        imports: The staged imports that they name; each part reads its products.
        terms: The rulebook and the market values before and after, compiled.
        public: The public prices that they may move; None: none.
    """

    changes: tuple[Change, ...]
    before: Rulebook
    after: Rulebook
    version: int
    products: Mapping[str, ProductInput]
    manual_prices: Mapping[str, ManualPrice | None]
    entries: Entries
    terms: Both
    public: PublicPrices | None = None
    deleted: frozenset[str] = frozenset()
    imports: tuple[UUID, ...] = ()

    @property
    def moves_policy(self) -> bool:
        """Whether the published price of any product may differ."""
        return parts.moves_published_prices(self.before.policy, self.after.policy)

    @property
    def moves_published_prices(self) -> bool:
        """Whether published prices may differ."""
        return bool(self.products or self.manual_prices or self.deleted or self.imports) or self.moves_policy

    @property
    def writes_sheets(self) -> bool:
        """Whether price sheets may differ, so that an application has a run."""
        return bool(self.entries) or self.moves_published_prices

    @property
    def reaches_some(self) -> bool:
        """Whether anything beside its imports may move a price."""
        named = self.products or self.manual_prices or self.deleted
        return bool(named or self.public is not None or self.moves_policy)

    @property
    def reach(self) -> ProductSet:
        """The products whose prices may move; nothing: all."""
        named = {*self.products, *self.manual_prices, *self.deleted}
        if self.moves_policy or (self.public is None and not named):
            return ProductSet()
        of_public = ProductSet() if self.public is None else self.public.reach
        if self.public is None:
            return ProductSet(tuple(sorted(named)))
        return of_public.union(ProductSet(tuple(sorted(named)))) if named else of_public

    @property
    def policy(self) -> ActivePolicy:
        """The policy after the changes."""
        return ActivePolicy(self.version, self.after.policy)

    def under(self, policy: ActivePolicy) -> "Proposal":
        """The same with the policy that was written since in place of the planned one."""
        rules = replace(self.after.policy, **{name: getattr(policy.policy, name) for name in Policy.__struct_fields__})
        return replace(self, after=replace(self.after, policy=rules), version=policy.version)

    def with_imported(self, products: Mapping[str, ProductInput]) -> "Proposal":
        """The same with products of its imports; those that it writes itself stay."""
        return replace(self, products={**products, **self.products}) if products else self

    def with_facts(
        self,
        products: Mapping[str, ProductInput],
        manual_prices: Mapping[str, ManualPrice | None],
        entries: Entries,
        deleted: frozenset[str] = frozenset(),
    ) -> "Proposal":
        """The same with what an undo brings back about products, in place of that of the changes."""
        public = self.public
        if entries:
            public = public_prices.of(self.terms, self.touched, contents.values_of(self.changes), _ids(entries))
        facts = {"products": products, "manual_prices": manual_prices, "entries": entries, "deleted": deleted}
        return replace(self, public=public, **facts)

    @property
    def touched(self) -> list[PartName]:
        """The parts of the rulebook that the changes write or delete."""
        return touched(self.before, self.changes)


class Work(NamedTuple):
    """A plan and its proposal."""

    plan: Plan
    proposal: Proposal


def touched(rulebook: Rulebook, proposed: Sequence[Change]) -> list[PartName]:
    """The parts of the rulebook that changes write or delete, each once."""
    found = [each.name for change in proposed if (each := contents.of_rulebook(change)) is not None]
    return list(dict.fromkeys(parts.spelled(rulebook, name) for name in found))


def work_out(conn: Conn, proposed: tuple[Change, ...], version: int, at: datetime | None = None) -> Proposal:
    """Work out changes of a version of the rulebook, with the market values in force.

    Args:
        conn: In a transaction.
        proposed: The changes.
        version: The version of the rulebook.
        at: The instant from which new market values count; None: now.

    Raises:
        InvalidInput: a change contradicts itself or the others; the path leads into the change.
    """
    before = store.by_version(conn, version).rulebook
    after = contents.revised(before, proposed)
    held = values.load(conn, at)
    new_values = contents.values_of(proposed)
    terms = Both(
        Terms(CompiledRulebook(before, version), held),
        Terms(CompiledRulebook(after, version), public_prices.with_values(held, new_values, at)),
    )
    entries = contents.entries_of(proposed)
    public = public_prices.of(terms, touched(before, proposed), new_values, _ids(entries))
    return Proposal(
        proposed,
        before,
        after,
        version,
        contents.products_of(proposed),
        contents.manual_prices_of(proposed),
        entries,
        terms,
        public,
        contents.deleted_of(proposed),
        contents.imports_of(proposed),
    )


def _ids(entries: Entries) -> dict[str, list[str]]:
    return {list_id: list(of_list) for list_id, of_list in entries.items()}


class Proposals:
    """Keeps the last few proposals, which all partitions of their plans share; threads may share it."""

    def __init__(self) -> None:
        self._kept: OrderedDict[UUID, Work] = OrderedDict()
        self._lock = Lock()

    def of_task(self, conn: Conn, task_id: UUID) -> Work:
        """The plan that a task makes or applies, with its proposal."""
        with self._lock:
            if task_id in self._kept:
                return self._kept[task_id]
        plan = plans.of_task(conn, task_id)
        proposal = work_out(conn, plan.changes, plan.rulebook_version, plan.created_at)
        made = Work(plan, replace(proposal, version=plan.applied_version or plan.rulebook_version))
        with self._lock:
            self._kept[task_id] = made
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return made
