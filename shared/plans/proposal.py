"""A plan's proposal, worked out: the rulebook before and after its changes."""

from collections import OrderedDict
from threading import Lock
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from shared.plans import changes
from shared.plans import store as plans
from shared.plans.store import Plan
from shared.postgres.pools import Conn
from shared.pricing.policy import Policy
from shared.pricing.rulebook import Rulebook
from shared.rulebook import parts, store
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
    """

    plan: Plan
    before: Rulebook
    after: Rulebook
    version: int

    @property
    def moves_published_prices(self) -> bool:
        """Whether published prices may differ."""
        return parts.moves_published_prices(self.before.policy, self.after.policy)

    @property
    def policy(self) -> ActivePolicy:
        """The policy after the changes."""
        return ActivePolicy(self.version, self.after.policy)

    def under(self, policy: ActivePolicy) -> "Proposal":
        """The same with another policy after the changes: somebody wrote it meanwhile."""
        rules = replace(self.after.policy, **{name: getattr(policy.policy, name) for name in Policy.__struct_fields__})
        return replace(self, after=replace(self.after, policy=rules), version=policy.version)

    @property
    def touched(self) -> list[PartName]:
        """The parts of the rulebook that the changes write or delete."""
        found = [each.name for change in self.plan.changes if (each := changes.of_rulebook(change)) is not None]
        return list(dict.fromkeys(parts.spelled(self.before, name) for name in found))


def of(conn: Conn, plan: Plan) -> Proposal:
    """Work out a plan's proposal."""
    before = store.by_version(conn, plan.rulebook_version).rulebook
    after = changes.revised(before, plan.changes)
    return Proposal(plan, before, after, plan.applied_version or plan.rulebook_version)


class Proposals:
    """Keeps the last few proposals, which all partitions of their plans share; threads may share it."""

    def __init__(self) -> None:
        self._kept: OrderedDict[UUID, Proposal] = OrderedDict()
        self._lock = Lock()

    def of_task(self, conn: Conn, task_id: UUID) -> Proposal:
        """The proposal of the plan that a task makes or applies."""
        with self._lock:
            if task_id in self._kept:
                return self._kept[task_id]
        made = of(conn, plans.of_task(conn, task_id))
        with self._lock:
            self._kept[task_id] = made
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return made
