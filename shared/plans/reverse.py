"""The changes that take back the rulebook and the market values of an applied plan."""

from msgspec.structs import replace

from shared.catalogue import former_entries
from shared.errors import NoHistory, StalePlan, StillInUse
from shared.plans import contents, proposal
from shared.plans.changes import Change
from shared.plans.store import Plan
from shared.plans.undo import FormerList
from shared.postgres.pools import Conn
from shared.pricing.rulebook import PriceList
from shared.rulebook import parts, past_values, values
from shared.rulebook import store as rulebook
from shared.rulebook.parts import Part, PartName


def of(conn: Conn, plan: Plan) -> tuple[Change, ...]:
    """The changes that bring back what a plan changed; what is back already is left out.

    Raises:
        StalePlan: a part or a market value changed since.
        StillInUse: the plan is not applied.
    """
    if plan.applied_version is None:
        raise StillInUse("the plan is not applied; discard it")
    moved: list[str] = []
    found = [*_parts(conn, plan, plan.applied_version, moved), *_values(conn, plan, moved)]
    if moved:
        raise StalePlan(f"changed since the plan was applied: {', '.join(moved)}")
    return tuple(found)


def lists_of(conn: Conn, plan: Plan, changes: tuple[Change, ...]) -> tuple[FormerList, ...]:
    """The lists that a plan deleted and these changes bring back, with the revisions of their entries.

    Raises:
        NoHistory: the entries of one of them are not kept any more.
    """
    before, active = rulebook.by_version(conn, plan.rulebook_version).rulebook, rulebook.active(conn).rulebook
    found = []
    for change in changes:
        if change.price_list is None or parts.find(active, name := PartName("price_list", change.price_list.id)):
            continue
        old, former = parts.find(before, name), former_entries.of_list(conn, name.key)
        assert isinstance(old, PriceList)  # noqa: S101 # the plan deleted it
        if former is None or former.revision != old.revision:
            days = former_entries.KEPT_DAYS
            raise NoHistory(f"the entries of {name} are kept for {days} days, until the list has others", "$.plan")
        found.append(FormerList(name.key, former.revision))
    return tuple(found)


def _parts(conn: Conn, plan: Plan, version: int, moved: list[str]) -> list[Change]:
    before = rulebook.by_version(conn, plan.rulebook_version).rulebook
    applied = rulebook.by_version(conn, version).rulebook
    active = rulebook.active(conn).rulebook
    found: list[Change] = []
    for name in reversed(proposal.touched(before, plan.changes)):
        old, now, then = (_as_written(parts.find(book, name)) for book in (before, active, applied))
        if old == now:
            continue
        if now != then:
            moved.append(str(name))
        found += contents.changes_of(name, old)
    return found


def _as_written(part: Part | None) -> Part | None:
    """A part without what no person writes: the revision of a list's entries."""
    return replace(part, revision=0) if isinstance(part, PriceList) else part


def _values(conn: Conn, plan: Plan, moved: list[str]) -> list[Change]:
    written = list({(one.kind, one.name): one for one in contents.values_of(plan.changes)}.values())
    old = past_values.as_of(conn, plan.values_version, written)
    now = past_values.as_of(conn, values.newest(conn), written)
    found = []
    for one, earlier, current in zip(written, old, now, strict=True):
        if earlier != current:
            if current != one.value:
                moved.append(one.name)
            found.append(contents.value_change(one.kind, one.name, earlier))
    return found
