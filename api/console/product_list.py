"""The list of products as an address describes it: filters, order and columns; the page and the file share it."""

from collections.abc import Sequence
from typing import Annotated, Literal, NamedTuple, get_args
from urllib.parse import urlencode

from litestar.params import Parameter

from shared.catalogue.listing import Column, Order, Search
from shared.pricing.product import MAX_CATEGORY

ChosenColumn = Literal[
    "name", "category", "brand", "tags", "strategy", "stock", "cost", "base_price", "published_price", "change",
    "currency",
]  # fmt: skip
TITLES: dict[str, str] = {
    "product_id": "Product",
    "base_price": "List price",
    "published_price": "Published",
}
SORTABLE = get_args(Column)
# Those of a list without a choice, and those among them that narrow windows do not show.
USUAL = ("name", "category", "base_price", "published_price", "change", "currency")
HIDDEN_WHEN_NARROW = ("category", "base_price", "currency")


class ProductList(NamedTuple):
    """What is listed.

    Attributes:
        filters: The fields of the form: q, category, tag.
        columns: Besides the id, in the order of the page.
        is_usual: They are those of a list without a choice.
    """

    filters: dict[str, str]
    order: Order
    columns: tuple[str, ...]
    is_usual: bool

    @property
    def search(self) -> Search:
        """The filters of the catalogue."""
        words, category, tag = (self.filters[name].strip() or None for name in ("q", "category", "tag"))
        return Search(words=words, category=category, tag=tag)

    def query(self, order: Order | None = None, **more: str) -> str:
        """The query of an address that shows this list, or the same list in another order."""
        shown = order or self.order
        given = [(name, value) for name, value in self.filters.items() if value]
        given += [("sort", shown.column)] if shown.column != "product_id" else []
        given += [("down", "true")] if shown.descending else []
        given += [("column", column) for column in ([] if self.is_usual else self.columns)]
        return urlencode([*given, *more.items()])

    def sorted_by(self, column: Column) -> str:
        """The query of the list sorted by a column; by the same one as now: the other way round."""
        is_current = column == self.order.column
        return self.query(Order(column, is_current and not self.order.descending))


def product_list(
    q: Annotated[str, Parameter(max_length=200)] = "",
    category: Annotated[str, Parameter(max_length=MAX_CATEGORY)] = "",
    tag: Annotated[str, Parameter(max_length=64)] = "",
    sort: Column = "product_id",
    down: bool = False,
    column: Sequence[ChosenColumn] = (),
) -> ProductList:
    """The list that an address describes."""
    columns = tuple(name for name in get_args(ChosenColumn) if name in (column or USUAL))
    return ProductList({"q": q, "category": category, "tag": tag}, Order(sort, down), columns, columns == USUAL)


def title(column: str) -> str:
    """The heading of a column."""
    return TITLES.get(column, column.capitalize())
