"""The changes that take back the rulebook of an applied plan."""

from msgspec.structs import asdict

from shared.errors import InvalidInput, StalePlan, StillInUse
from shared.plans import contents, proposal
from shared.plans.changes import Change, Deletion, MarketChange
from shared.plans.store import Plan
from shared.postgres.pools import Conn
from shared.pricing.rulebook import MarketRules, PriceList, Promotion, RulebookPolicy
from shared.rulebook import parts
from shared.rulebook import store as rulebook
from shared.rulebook.parts import Part, PartName


def of(conn: Conn, plan: Plan) -> tuple[Change, ...]:
    """The changes that bring the rulebook's parts of a plan back; those that are back already are left out.

    Raises:
        InvalidInput: the plan changed something whose earlier value is not kept.
        StalePlan: a part changed since.
        StillInUse: the plan is not applied.
    """
    if plan.applied_version is None:
        raise StillInUse("the plan is not applied; discard it")
    if lost := sorted({change.kind for change in plan.changes if contents.of_rulebook(change) is None}):
        raise InvalidInput(f"the plan also has changes whose earlier values are not kept: {', '.join(lost)}", "$.plan")
    before = rulebook.by_version(conn, plan.rulebook_version).rulebook
    applied = rulebook.by_version(conn, plan.applied_version).rulebook
    active = rulebook.active(conn).rulebook
    found: list[Change] = []
    moved: list[str] = []
    for name in reversed(proposal.touched(before, plan.changes)):
        old, now = parts.find(before, name), parts.find(active, name)
        if old == now:
            continue
        if now != parts.find(applied, name):
            moved.append(str(name))
        if name.kind == "price_list" and now is None:
            raise InvalidInput(f"the plan deleted {name}, whose entries are not kept", "$.plan")
        found.append(_change(name, old))
    if moved:
        raise StalePlan(f"changed since the plan was applied: {', '.join(moved)}")
    return tuple(found)


def _change(name: PartName, part: Part | None) -> Change:
    match part:
        case RulebookPolicy():
            return Change(policy=part)
        case MarketRules():
            return Change(market=MarketChange(code=name.key, **asdict(part)))
        case PriceList():
            return Change(price_list=part)
        case Promotion():
            return Change(promotion=part)
    return Change(delete=Deletion(**{name.kind: name.key}))
