"""The changes that take back the rulebook and the market values of an applied plan."""

from shared.errors import InvalidInput, StalePlan, StillInUse
from shared.plans import contents, proposal
from shared.plans.changes import Change
from shared.plans.store import Plan
from shared.postgres.pools import Conn
from shared.rulebook import parts, past_values, values
from shared.rulebook import store as rulebook


def of(conn: Conn, plan: Plan) -> tuple[Change, ...]:
    """The changes that bring back what a plan changed; what is back already is left out.

    Raises:
        InvalidInput: the plan deleted a price list, whose entries are not kept.
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


def _parts(conn: Conn, plan: Plan, version: int, moved: list[str]) -> list[Change]:
    before = rulebook.by_version(conn, plan.rulebook_version).rulebook
    applied = rulebook.by_version(conn, version).rulebook
    active = rulebook.active(conn).rulebook
    found: list[Change] = []
    for name in reversed(proposal.touched(before, plan.changes)):
        old, now = parts.find(before, name), parts.find(active, name)
        if old == now:
            continue
        if now != parts.find(applied, name):
            moved.append(str(name))
        if name.kind == "price_list" and now is None:
            raise InvalidInput(f"the plan deleted {name}, whose entries are not kept", "$.plan")
        found += contents.changes_of(name, old)
    return found


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
