"""The products: found by words, category and tag, page by page."""

from typing import Annotated, Any
from urllib.parse import urlencode

from litestar import Request, Response, get
from litestar.params import Parameter

from api.console.rendering import page
from api.edge.identity import needs
from api.http import cursors
from api.http.answers import CONSOLE_PATH
from api.services import Services
from shared.catalogue import listing
from shared.pricing.product import MAX_CATEGORY

PATH = f"{CONSOLE_PATH}/products"
PAGE = 50


@get("/products", guards=[needs("catalogue:read")], sync_to_thread=True)
def products(
    request: Request[Any, Any, Any],
    services: Services,
    q: Annotated[str, Parameter(max_length=200)] = "",
    category: Annotated[str, Parameter(max_length=MAX_CATEGORY)] = "",
    tag: Annotated[str, Parameter(max_length=64)] = "",
    cursor: str | None = None,
) -> Response[str]:
    """List the products that fit the filters in the address."""
    after: str | None = cursors.decode(cursor, str)
    search = listing.Search(words=q.strip() or None, category=category or None, tag=tag or None)
    with services.transaction() as conn:
        found, last = cursors.split(listing.page(conn, search, PAGE + 1, after), PAGE)
        categories = listing.categories(conn)
    filters = {name: value for name, value in (("q", q), ("category", category), ("tag", tag)) if value}
    following = urlencode(filters | {"cursor": cursors.encode(last.product_id)}) if last else ""
    values: dict[str, Any] = {
        "products": found,
        "categories": categories,
        "filters": {"q": q, "category": category, "tag": tag},
        "export": f"{CONSOLE_PATH}/exports/products.csv?{urlencode(filters)}",
        "first": f"{PATH}?{urlencode(filters)}" if cursor else "",
        "following": f"{PATH}?{following}" if following else "",
    }
    is_part = request.headers.get("hx-target", "").endswith("results")
    return page(request, "products-results.html" if is_part else "products.html", **values)


HANDLERS = (products,)
