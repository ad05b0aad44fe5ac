"""The products: found by words, category and tag, sorted, with columns to choose, page by page."""

from typing import Any, get_args

from litestar import Request, Response, get
from litestar.di import Provide

from api.console import product_list
from api.console.product_list import HIDDEN_WHEN_NARROW, SORTABLE, ChosenColumn, ProductList
from api.console.rendering import is_results, page
from api.edge.identity import needs
from api.http import cursors
from api.http.answers import CONSOLE_PATH
from api.services import Services
from shared.catalogue import listing
from shared.catalogue.listing import DetailedProduct, Position

PATH = f"{CONSOLE_PATH}/products"
PAGE = 50
LISTED = {"listed": Provide(product_list.product_list, sync_to_thread=False)}


@get("/products", guards=[needs("catalogue:read")], dependencies=LISTED, sync_to_thread=True)
def products(
    request: Request[Any, Any, Any], services: Services, listed: ProductList, cursor: str | None = None
) -> Response[str]:
    """List the products of the list that the address describes."""
    after: Position | None = cursors.decode(cursor, Position)
    with services.transaction() as conn:
        found = listing.page(conn, listed.search, DetailedProduct, PAGE + 1, after, listed.order)
        categories = listing.categories(conn)
    found, last = cursors.split(found, PAGE)
    following = listed.query(cursor=cursors.encode(listed.order.position(last))) if last else ""
    values: dict[str, Any] = {
        "products": found,
        "categories": categories,
        "listed": listed,
        "filters": listed.filters,
        "sortable": SORTABLE,
        "title": product_list.title,
        "all_columns": get_args(ChosenColumn),
        "hidden": HIDDEN_WHEN_NARROW if listed.is_usual else (),
        "export": f"{CONSOLE_PATH}/exports/products.csv?{listed.query()}",
        "first": f"{PATH}?{listed.query()}" if cursor else "",
        "following": f"{PATH}?{following}" if following else "",
    }
    if not is_results(request):
        return page(request, "products.html", **values)
    answer = page(request, "products-results.html", **values)
    answer.headers["hx-push-url"] = f"{PATH}?{listed.query()}"  # without the fields that are empty
    return answer


HANDLERS = (products,)
