"""One product: its price now and why, its history, its signals, and what a person may do with it."""

import asyncio
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any, NamedTuple

from litestar import Request, Response, get, post
from litestar.params import Parameter

from api.console import charts
from api.console.forms import EMPTY, Form
from api.console.pages.products import PATH
from api.console.rendering import back, page
from api.console.shown import segment
from api.edge.identity import needs
from api.http.answers import PriceAnswer
from api.http.queries import PriceQuery
from api.routes import automation, manual_prices, prices, recalculations
from api.routes.automation import AutomationPause, AutomationResume
from api.routes.manual_prices import NewManualPrice
from api.services import Services
from shared.catalogue import price_lists, products
from shared.catalogue.product_set import ProductSet
from shared.catalogue.products import ProductView
from shared.errors import PricingError
from shared.prices import history, pauses, states
from shared.prices.history import PriceChange
from shared.prices.states import Standing
from shared.pricing.answer import NotQuoted
from shared.pricing.entries import PriceEntry
from shared.pricing.product import ProductInput
from shared.pricing.reach import Reach
from shared.pricing.rule_pool import Rule
from shared.pricing.rulebook import Rulebook
from shared.pricing.sheet import PriceSheet
from shared.pricing.state import Pause
from shared.pricing.window_edges import WindowEdge, edges
from shared.rulebook import store as rulebook

# The changes of the chart, and of the table below it.
MOST_CHANGES, LISTED = 1_000, 12
# What begins or ends next.
SCHEDULED = 4
DAYS = (7, 30, 90, 365)
CONTEXT = (
    "user_location",
    "quantity",
    "is_prime_member",
    "customer_groups",
    "customer_id",
    "channel",
    "currency",
    "at",
)

Failed = tuple[str, Form] | None
"""The action whose form has a problem, and the form."""


class Facts(NamedTuple):
    """What PostgreSQL says about a product."""

    view: ProductView
    standing: Standing
    pauses: tuple[Pause, ...]
    entries: list[PriceEntry]
    changes: list[PriceChange]
    sheet: PriceSheet
    markets: list[str]
    edges: list[WindowEdge]


@get("/products/{product_id:str}", guards=[needs("catalogue:read")])
async def product(
    request: Request[Any, Any, Any],
    services: Services,
    product_id: str,
    days: Annotated[int, Parameter(ge=1, le=3650)] = 30,
) -> Response[str]:
    """Show a product; the query's parameters are the context of the price."""
    return await _shown(request, services, product_id, days=days)


@post("/products/{product_id:str}/manual-price", guards=[needs("catalogue:write")])
async def set_manual_price(
    request: Request[Any, Any, Any], services: Services, form: Form, product_id: str
) -> Response[str]:
    """Set a manual price."""
    try:
        new = form.read(NewManualPrice)
        await asyncio.to_thread(manual_prices.begin, services, product_id, new)
    except PricingError as error:
        return await _shown(request, services, product_id, ("manual-price", form.failed(error)))
    return _back(product_id, "The manual price is published.")


@post("/products/{product_id:str}/end-manual-price", guards=[needs("catalogue:write")])
async def end_manual_price(services: Services, product_id: str) -> Response[str]:
    """End the manual price."""
    await asyncio.to_thread(manual_prices.end, services, product_id)
    return _back(product_id, "The manual price has ended. Automation goes on.")


@post("/products/{product_id:str}/pause", guards=[needs("operate")])
async def pause(request: Request[Any, Any, Any], services: Services, form: Form, product_id: str) -> Response[str]:
    """Pause automation for the product."""
    try:
        wanted = form.read(AutomationPause, product_ids=[product_id])
        await asyncio.to_thread(automation.pause, services, request.user, wanted)
    except PricingError as error:
        return await _shown(request, services, product_id, ("pause", form.failed(error)))
    return _back(product_id, "Automation is paused for this product.")


@post("/products/{product_id:str}/resume", guards=[needs("operate")])
async def resume(services: Services, product_id: str) -> Response[str]:
    """End the product's own pause."""
    wanted = AutomationResume(reason="resumed in the console", product_ids=(product_id,))
    await asyncio.to_thread(automation.resume, services, wanted)
    return _back(product_id, "Automation goes on for this product.")


@post("/products/{product_id:str}/recalculate", guards=[needs("operate")])
async def recalculate(request: Request[Any, Any, Any], services: Services, product_id: str) -> Response[str]:
    """Decide the product's price anew."""
    await asyncio.to_thread(recalculations.begin, services, request.user, ProductSet((product_id,)))
    return _back(product_id, "The price is decided anew.")


async def _shown(
    request: Request[Any, Any, Any], services: Services, product_id: str, failed: Failed = None, days: int = 30
) -> Response[str]:
    now = datetime.now(UTC)
    context = Form({name: [value] for name, value in request.query_params.items() if name in CONTEXT})
    facts, (context, priced) = await asyncio.gather(
        asyncio.to_thread(_facts, services, product_id, now, days), _price(request, services, product_id, context)
    )
    values = {
        "facts": facts,
        "product": facts.view.product,
        "context": context,
        "markets": [("", "Default"), *((code, code) for code in facts.markets)],
        "priced": priced,
        "waterfall": charts.waterfall(priced.steps or ()) if priced else [],
        "chart": charts.steps(
            facts.changes, facts.view.published_price, now - timedelta(days=days), now, _bounds(facts)
        ),
        "low": _low(facts),
        "days": days,
        "all_days": DAYS,
        "listed": facts.changes[:LISTED],
        "now": now,
        "failed": failed or ("", EMPTY),
    }
    return page(request, "product.html", 422 if failed else 200, **values)


async def _price(
    request: Request[Any, Any, Any], services: Services, product_id: str, context: Form
) -> tuple[Form, PriceAnswer | None]:
    """The price for the context, with its explanation; the context says what is wrong where there is none."""
    groups = [group.strip() for group in context.text("customer_groups").split(",") if group.strip()]
    try:
        query = context.read(PriceQuery, product_id=product_id, customer_groups=groups)
        answer = await prices.price(request, services, query, explain=True)
    except (PricingError, NotQuoted) as error:
        return context.failed(error), None
    return context, answer


def _facts(services: Services, product_id: str, now: datetime, days: int) -> Facts:
    with services.transaction() as conn:
        view = products.view(conn, product_id)
        rules = rulebook.active(conn).rulebook
        revisions = {one.id: one.revision for one in rules.price_lists}
        entries = price_lists.of_products(conn, [product_id]).get(product_id, ())
        return Facts(
            view=view,
            standing=states.standing(conn, product_id, now),
            pauses=pauses.read(conn, [product_id], now).of(product_id, view.product.category),
            entries=[entry for entry in entries if revisions.get(entry.list) == entry.revision],
            changes=history.price_changes(conn, product_id, MOST_CHANGES, since=now - timedelta(days=days)),
            sheet=history.sheet_as_of(conn, product_id, now),
            markets=sorted(rules.markets),
            edges=_scheduled(rules, view.product, {entry.list for entry in entries}, now),
        )


def _scheduled(rules: Rulebook, product: ProductInput, lists: Collection[str], now: datetime) -> list[WindowEdge]:
    """What begins or ends next of the promotions and price lists that can touch a product; `lists` have its entries."""
    formulas = [(Rule(one), one.adjustment.applies_to) for one in rules.price_lists if one.adjustment is not None]
    promotions = [(Rule(one), one.applies_to) for one in rules.promotions]
    touching = {("price_list", name) for name in lists}
    touching |= {("price_list", rule.part.id) for rule in Reach(formulas).of(product)}
    touching |= {("price_list", rule.part.id) for rule, applies_to in formulas if applies_to is None}
    touching |= {("promotion", rule.part.id) for rule in Reach(promotions).of(product)}
    touching |= {("promotion", rule.part.id) for rule, applies_to in promotions if applies_to is None}
    return [edge for edge in edges(rules) if edge.at > now and (edge.part, edge.id) in touching][:SCHEDULED]


def _bounds(facts: Facts) -> dict[str, Decimal | None]:
    """The floor and the ceiling in force, and the lowest offer of a competitor in the product's currency."""
    sheet, currency = facts.sheet, facts.view.product.currency
    offers = [
        one.value
        for one in facts.view.signals
        if one.kind == "competitor" and one.in_stock and one.currency == currency
    ]
    return {"floor": sheet.floor, "ceiling": sheet.ceiling, "lowest competitor": min(offers, default=None)}


def _low(facts: Facts) -> Decimal:
    """The lowest published price of the chart's days, with the price that they began with."""
    changes = [amount for one in facts.changes for amount in (one.old_price, one.new_price) if amount is not None]
    return min([*changes, facts.view.published_price])


def _back(product_id: str, note: str) -> Response[str]:
    return back(f"{PATH}/{segment(product_id)}", note)


HANDLERS = (product, set_manual_price, end_manual_price, pause, resume, recalculate)
