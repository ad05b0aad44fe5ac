"""The rules: markets, price lists, promotions and the policy; each change becomes a plan."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from urllib.parse import urlencode
from uuid import UUID

import msgspec
from litestar import Request, Response, get, post
from litestar.params import Parameter

from api import plan_writes
from api.console import charts, rule_forms, rule_rows, rule_values
from api.console.forms import EMPTY, Form
from api.console.pages import plans
from api.console.rendering import back, links, page
from api.console.shown import segment
from api.edge.identity import needs
from api.http import cursors
from api.http.answers import CONSOLE_PATH
from api.plan_writes import PlanAccepted
from api.routes import price_list_entries
from api.routes.rulebook import LARGEST_VERSION
from api.services import Services
from shared.errors import InvalidInput, NotFound, PricingError
from shared.plans import views
from shared.plans.requested import NewPlan
from shared.postgres.pools import Conn
from shared.rulebook import diff, documents, parts, store, values
from shared.rulebook.diff import Difference
from shared.rulebook.parts import KINDS, Kind, PartName
from shared.rulebook.store import RulebookVersion, VersionView

PATH = f"{CONSOLE_PATH}/rules"
PAGE, ENTRIES = 30, 50
# The calendar shows some weeks back and some months ahead.
BACK, AHEAD, MARKS = timedelta(days=14), timedelta(days=76), 6
TITLES = {"policy": "Policy", "market": "Market", "price_list": "Price list", "promotion": "Promotion"}
# The field that names a part in a change.
KEYS = {"market": "code", "price_list": "id", "promotion": "id"}
LONGEST_VERSION = len(str(LARGEST_VERSION))
ItemKind = Annotated[str, Parameter(pattern="^(market|price_list|promotion)$")]
Version = Annotated[int, Parameter(ge=1, le=LARGEST_VERSION)]


@get("/rules", guards=[needs("catalogue:read")], sync_to_thread=True)
def rules(request: Request[Any, Any, Any], services: Services) -> Response[str]:
    """Show all rules, and who changed them last."""
    now = datetime.now(UTC)
    since, until = now - BACK, now + AHEAD
    with services.transaction() as conn:
        found = store.active(conn)
        versions = store.listed(conn, 8)
        titles = _titles(conn, versions)
        multipliers = values.in_force(conn, "multiplier")
        rates = values.in_force(conn, "exchange_rate")
    promotions = sorted(found.rulebook.promotions, key=lambda one: (one.closes or until, one.id))
    shown: dict[str, Any] = {
        "rules": found.rulebook,
        "versions": versions,
        "titles": titles,
        "multipliers": multipliers,
        "rates": rates,
        "promotions": [(one, charts.span(one.opens, one.closes, since, until)) for one in promotions],
        "today": round(100 * (BACK / (BACK + AHEAD)), 2),
        "marks": [since + (until - since) * mark / MARKS for mark in range(MARKS + 1)],
    }
    return page(request, "rules.html", **shown)


@get("/rules/policy", guards=[needs("catalogue:read")], sync_to_thread=True)
def policy(request: Request[Any, Any, Any], services: Services) -> Response[str]:
    """Show the policy as a form."""
    return _part(request, services, "policy", "")


@get("/rules/{kind:str}/new", guards=[needs("catalogue:read")], sync_to_thread=True)
def new_part(request: Request[Any, Any, Any], services: Services, kind: ItemKind) -> Response[str]:
    """Show the form of a new part."""
    return _part(request, services, kind, None)  # type: ignore[arg-type] # the pattern allows these alone


@get("/rules/{kind:str}/{key:str}", guards=[needs("catalogue:read")], sync_to_thread=True)
def part(
    request: Request[Any, Any, Any], services: Services, kind: ItemKind, key: str, cursor: str | None = None
) -> Response[str]:
    """Show a market, a price list with its entries, or a promotion."""
    return _part(request, services, kind, key, cursor=cursor)  # type: ignore[arg-type] # as above


@post("/rules/plan", guards=[needs("rules:write"), needs("catalogue:read")], sync_to_thread=True)
def plan(request: Request[Any, Any, Any], services: Services, form: Form) -> Response[str]:
    """Plan what the form says: a part, whole, or its deletion. A button of a row only changes the form."""
    kind, key = form.text("part_kind"), form.text("part_key")
    if kind not in KINDS:
        raise InvalidInput("names no kind of rule", "$.part_kind")
    shown_key = key if kind == "policy" else key or None
    if edited := rule_rows.changed(form):
        return _part(request, services, kind, shown_key, form=edited, edited=True)
    try:
        if moved := _moved(services, PartName(kind, key), form.text("seen")):
            return _part(request, services, kind, shown_key, form=form, moved=moved)
        change: dict[str, Any] = {"delete": {kind: key}} if form.text("delete") else {kind: _written(kind, key, form)}
        made = _planned(request, services, change, kind)
    except PricingError as error:
        return _part(request, services, kind, shown_key, form=form.failed(error))
    return back(f"{CONSOLE_PATH}/plans/{made.plan_id}", "This plan shows what the change does. Apply it to publish it.")


@get("/rules/versions", guards=[needs("catalogue:read")], sync_to_thread=True)
def versions(request: Request[Any, Any, Any], services: Services, cursor: str | None = None) -> Response[str]:
    """List the versions of the rulebook."""
    before: int | None = cursors.decode(cursor, int)
    with services.transaction() as conn:
        found, last = cursors.split(store.listed(conn, PAGE + 1, before), PAGE)
        titles = _titles(conn, found)
    shown = links(f"{PATH}/versions", {}, cursor, last.version if last else None)
    return page(request, "rule-versions.html", versions=found, titles=titles, **shown)


@get("/rules/diff", guards=[needs("catalogue:read")], sync_to_thread=True)
def difference(request: Request[Any, Any, Any], services: Services, one: Version, other: Version) -> Response[str]:
    """Compare two versions, field by field."""
    with services.transaction() as conn:
        before, after = store.by_version(conn, one), store.by_version(conn, other)
        titles = _titles(conn, [after])
    changes = diff.differences(before.rulebook, after.rulebook)
    return page(request, "rule-diff.html", before=before, after=after, changes=changes, titles=titles)


def _titles(conn: Conn, versions: Sequence[VersionView | RulebookVersion]) -> dict[str, str]:
    """The titles of the plans that made these versions, by their ids."""
    found = re.findall(r"(?m)^plan ([0-9a-f-]{36})$", "\n".join(one.cause for one in versions))
    return {str(plan.plan_id): plans.title(plan) for plan in views.among(conn, [UUID(each) for each in found])}


def _written(kind: Kind, key: str, form: Form) -> dict[str, Any]:
    if form.text("as") == "json":
        read = rule_values.json(form.text("document"), "document")
        if not isinstance(read, dict):
            raise InvalidInput("must be an object: {…}", "$.document")
        document: dict[str, Any] = read
    else:
        document = rule_forms.document_of(kind, form)
    return document if kind == "policy" else document | {KEYS[kind]: key or form.text(KEYS[kind]).strip()}


def _moved(services: Services, name: PartName, seen: str) -> list[Difference]:
    """What others changed of a part since the version that its form shows."""
    if not seen.isdecimal() or len(seen) > LONGEST_VERSION:
        return []
    with services.transaction() as conn:
        held = store.active(conn)
        if held.version == int(seen):
            return []
        before = store.by_version(conn, int(seen))
    return diff.of_part(before.rulebook, held.rulebook, name)


def _planned(request: Request[Any, Any, Any], services: Services, change: dict[str, Any], kind: str) -> PlanAccepted:
    try:
        wanted = documents.read(documents.NUMBERS.encode({"changes": [change]}), NewPlan)
        made = plan_writes.make(services, request.user, wanted)
    except InvalidInput as error:
        # The field of the form, in place of its path in the plan.
        path = error.path.replace(f"$.changes[0].{kind}", "$", 1)
        raise InvalidInput(error.reason, path) from None
    return made


def _part(
    request: Request[Any, Any, Any],
    services: Services,
    kind: Kind,
    key: str | None,
    form: Form = EMPTY,
    cursor: str | None = None,
    moved: Sequence[Difference] = (),
    edited: bool = False,
) -> Response[str]:
    with services.transaction() as conn:
        held = store.active(conn)
        name = PartName(kind, key or "")
        found = None if key is None else parts.find(held.rulebook, name)
        if key is not None and found is None and form is EMPTY:
            raise NotFound(f"no {name}")
    entries = None
    if kind == "price_list" and found is not None:
        entries = price_list_entries.page(services, key or "", None, ENTRIES, cursor)
    document = documents.builtins(found) if found is not None else {}
    as_json = request.query_params.get("as") == "json" or form.text("as") == "json"
    fields = [one for one in rule_forms.nodes(kind, form, document) if one.name != KEYS.get(kind)]
    if form.problem and not as_json and (wrong := rule_forms.name_at(fields, form.problem)):
        form = form.failed_at(wrong)
    shown: dict[str, Any] = {
        "kind": kind,
        "part_key": key or "",
        "key_field": KEYS.get(kind, ""),
        "title": f"{TITLES[kind]} {key}".strip() if key is not None else f"New {TITLES[kind].lower()}",
        "fields": fields,
        "document": documents.NUMBERS.encode(document).decode() if document else "{}",
        "as_json": as_json,
        "form": form,
        "edited": edited,
        "seen": form.text("seen") if edited else held.version,
        "moved": moved,
        "entries": entries,
        "first": f"{PATH}/{kind}/{segment(key or '')}" if cursor else "",
        "following": f"?{urlencode({'cursor': entries.next})}" if entries is not None and entries.next else "",
        "here": f"{PATH}/policy" if kind == "policy" else f"{PATH}/{kind}/{segment(key or 'new')}",
    }
    shown["document"] = msgspec.json.format(shown["document"])
    status = form.problem.status if form.problem else 409 if moved else 200
    return page(request, "rule.html", status, **shown)


HANDLERS = (rules, policy, versions, difference, new_part, part, plan)
