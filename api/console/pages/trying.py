"""Try it: a price query with its request, its answer, and the code that makes it."""

import shlex
from typing import Any

import msgspec
from litestar import Request, Response, get

from api.console.forms import Form
from api.console.pages.product import CONTEXT
from api.console.rendering import page
from api.edge.identity import needs
from api.http.answers import PRICE_PATH, PriceAnswer
from api.http.queries import PriceQuery
from api.routes import prices
from api.services import Services
from shared.errors import PricingError
from shared.pricing.answer import NotQuoted
from shared.rulebook.documents import NUMBERS

FIELDS = ("product_id", *CONTEXT)
# What a query needs a key for.
CLOSED = ("customer_id", "customer_groups", "at")


@get("/try", guards=[needs("catalogue:read")])
async def try_it(request: Request[Any, Any, Any], services: Services) -> Response[str]:
    """Make the query in the address, and show it as a request and as code."""
    form = Form({name: [value] for name, value in request.query_params.items() if name in FIELDS})
    answer: PriceAnswer | None = None
    body = ""
    if form.text("product_id").strip():
        try:
            groups = [group.strip() for group in form.text("customer_groups").split(",") if group.strip()]
            query = form.read(PriceQuery, customer_groups=groups)
            body = NUMBERS.encode(_given(query, form)).decode()
            answer = await prices.price(request, services, query)
        except (PricingError, NotQuoted) as error:
            form = form.failed(error)
    url = f"{request.base_url}".rstrip("/") + PRICE_PATH
    values: dict[str, Any] = {
        "form": form,
        "body": body,
        "answer": msgspec.json.format(msgspec.json.encode(answer)).decode() if answer else "",
        "code": _code(url, body, any(form.text(name) for name in CLOSED)) if body else [],
    }
    return page(request, "try.html", form.problem.status if form.problem else 200, **values)


def _given(query: PriceQuery, form: Form) -> dict[str, Any]:
    document: dict[str, Any] = msgspec.to_builtins(query, builtin_types=())
    return {name: document[name] for name in FIELDS if form.text(name).strip()}


def _code(url: str, body: str, needs_key: bool) -> list[tuple[str, str]]:
    """The query for a terminal, in Python and in JavaScript."""
    curl = (
        f"curl -s {url}" + (' -H "Authorization: Bearer $KEY"' if needs_key else "") + f" \\\n  -d {shlex.quote(body)}"
    )
    python_headers = ', headers={"authorization": f"Bearer {key}"}' if needs_key else ""
    python = f"import json, httpx\n\nquery = json.loads({body!r})\n"
    python += f"answer = httpx.post({url!r}, json=query{python_headers})\n"
    python += 'answer.raise_for_status()\nprint(answer.json()["final_price"])'
    headers = '{"content-type": "application/json"' + (", authorization: `Bearer ${key}`" if needs_key else "") + "}"
    script = f'const answer = await fetch("{url}", {{\n  method: "POST",\n  headers: {headers},\n'
    script += f"  body: JSON.stringify({body}),\n}});\nif (!answer.ok) throw new Error(await answer.text());\n"
    script += "console.log((await answer.json()).final_price);"
    return [("curl", curl), ("Python", python), ("JavaScript", script)]


HANDLERS = (try_it,)
