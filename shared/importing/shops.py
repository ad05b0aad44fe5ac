"""Exports of shop systems: their rows become rows in our columns, and their sale prices entries of the list `sale`."""

import csv
import tempfile
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import ClassVar, Literal

from shared.importing import numbers
from shared.importing.columns import Columns, RefusedFile
from shared.importing.rows import Row
from shared.pricing.currencies import EXPONENTS

ShopName = Literal["shopify", "woocommerce"]
OURS = ("product_id", "name", "category", "base_price", "cost", "stock", "brand", "tags")
SALE_LIST = "sale"
SALE_COLUMNS = ("product_id", "amount", "from", "until", "zone")
SHOWN = 1_000
_LONGEST_NAME = 200
_MOST_TAGS, _LONGEST_TAG = 32, 64


class Shop(ABC):
    """The rows of one export; subclasses have the names of its columns.

    Attributes:
        sale_prices: The number of sale prices, for the list `sale`.
        unpriced: Rows without a price, each as a sentence, the first 1,000.
        counts: Notes, each with the number of rows that it is about.
    """

    title: ClassVar[str]
    needs: ClassVar[tuple[str, ...]]

    def __init__(self, columns: Columns, zone: str = "UTC") -> None:
        if "currency" not in columns.constants:
            raise RefusedFile(f"exports of {self.title} name no currency: --currency EUR tells it")
        self._mark, self._zone = columns.decimal, zone
        self._places = EXPONENTS.get(columns.constants["currency"], 2)
        # Closed, and thus deleted, with the shop.
        self._sales = tempfile.NamedTemporaryFile("w", suffix=".csv", encoding="utf-8", newline="")  # noqa: SIM115
        self._entries = csv.writer(self._sales)
        self._entries.writerow(SALE_COLUMNS)
        self.sale_prices = 0
        self.unpriced: list[str] = []
        self.counts: Counter[str] = Counter()
        self._at: dict[str, int] = {}
        self._cells: Sequence[str] = ()

    def sales(self) -> Path:
        """The file of the sale prices: CSV, as `entry_importer` reads it."""
        self._sales.flush()
        return Path(self._sales.name)

    def begin(self, header: Sequence[str]) -> None:
        """Read the header.

        Raises:
            RefusedFile: it is the header of another file.
        """
        self._at = {name.strip().casefold(): at for at, name in enumerate(header)}
        if missing := [name for name in self.needs if name.casefold() not in self._at]:
            raise RefusedFile(f"it is no product export of {self.title}: the header has no column {missing[0]!r}")

    def row(self, row: Row) -> Row | None:
        """The row in our columns; None: it is no product, or has no price."""
        if row.cells is None or isinstance(row.cells, str):
            return row
        self._cells = row.cells
        values = self.values(row.line)
        return None if values is None else Row(row.line, row.raw, [values.get(name, "") for name in OURS])

    @abstractmethod
    def values(self, line: int) -> dict[str, str] | None:
        """The values of the row in hand by our names."""

    def cell(self, name: str) -> str:
        """A cell of the row in hand; empty where there is no such column."""
        at = self._at.get(name.casefold())
        return self._cells[at].strip() if at is not None and at < len(self._cells) else ""

    def stock(self, name: str) -> str:
        """The stock in a cell; a negative one, of an oversold product, is 0."""
        written = self.cell(name)
        if written.startswith("-"):
            self.counts["with a stock below 0, which is read as 0"] += 1
            return "0"
        return written

    def sell(self, product_id: str, amount: str, opens: str = "", closes: str = "") -> None:
        """Note a sale price with its window."""
        zone = self._zone if opens or closes else ""
        self._entries.writerow([product_id, amount, opens, closes, zone])
        self.sale_prices += 1

    def miss(self, line: int, product_id: str) -> None:
        """Note a row without a price."""
        self.counts["without a price, and left out"] += 1
        if len(self.unpriced) < SHOWN:
            self.unpriced.append(f"line {line}: {product_id} has no price")

    def number(self, text: str) -> Decimal | None:
        """An amount; None where it is none, which the check of the row reports."""
        try:
            return Decimal(numbers.plain(text, self._mark, self._places))
        except ValueError:
            return None

    def short(self, name: str) -> str:
        """A name that fits."""
        if len(name) <= _LONGEST_NAME:
            return name
        self.counts[f"with a name that is cut to {_LONGEST_NAME} characters"] += 1
        return f"{name[: _LONGEST_NAME - 1]}…"


def tags(text: str) -> str:
    """Tags that a shop separates by commas, each once, separated by `|`."""
    found = dict.fromkeys(tag.strip()[:_LONGEST_TAG].strip().replace("|", "/") for tag in text.split(","))
    return "|".join([tag for tag in found if tag][:_MOST_TAGS])


class Shopify(Shop):
    """Products export of Shopify: a product's facts stand on its first row, and each variant is a row."""

    title = "Shopify"
    needs = ("Handle", "Title", "Variant SKU", "Variant Price")

    def __init__(self, columns: Columns, zone: str = "UTC") -> None:
        super().__init__(columns, zone)
        self._handle, self._first = "", dict[str, str]()

    def values(self, line: int) -> dict[str, str] | None:
        """A variant; its product's other facts are those of the product's first row."""
        handle = self.cell("Handle")
        if handle != self._handle:
            names = ("Title", "Vendor", "Product Category", "Type", "Tags")
            self._handle, self._first = handle, {name: self.cell(name) for name in names}
        sku, price = self.cell("Variant SKU"), self.cell("Variant Price")
        options = [self.cell(f"Option{at} Value") for at in (1, 2, 3)]
        if not (sku or price or any(options)):
            self.counts["of pictures alone"] += 1
            return None
        options = [option for option in options if option not in ("", "Default Title")]
        if not sku:
            self.counts["without a SKU, whose ids are the handle and the options"] += 1
            sku = "-".join([handle, *options])
        if not price:
            self.miss(line, sku)
            return None
        before, now = self.number(self.cell("Variant Compare At Price")), self.number(price)
        is_reduced = before is not None and now is not None and now < before
        if is_reduced:
            self.sell(sku, price)
        is_counted = self.cell("Variant Inventory Tracker") or "variant inventory tracker" not in self._at
        title = self._first["Title"] or handle
        return {
            "product_id": sku,
            "name": self.short(f"{title} – {' / '.join(options)}" if options else title),
            "category": self._first["Type"] or self._first["Product Category"],
            "base_price": self.cell("Variant Compare At Price") if is_reduced else price,
            "cost": self.cell("Cost per item"),
            "stock": self.stock("Variant Inventory Qty") if is_counted else "",
            "brand": self._first["Vendor"],
            "tags": tags(self._first["Tags"]),
        }


class WooCommerce(Shop):
    """Products export of WooCommerce: variations name their product as `Parent`, by its SKU or as `id:123`."""

    title = "WooCommerce"
    needs = ("ID", "Type", "SKU", "Name", "Regular price")

    def __init__(self, columns: Columns, zone: str = "UTC") -> None:
        super().__init__(columns, zone)
        self._parents: dict[str, dict[str, str]] = {}

    def values(self, line: int) -> dict[str, str] | None:
        """A product or variation; what a variation leaves out is as in its product."""
        kinds = [kind.strip() for kind in self.cell("Type").split(",")]
        facts = {
            "name": self.cell("Name"),
            # The first of several; a comma within a name has a backslash.
            "category": self.cell("Categories").replace("\\,", "\0").split(",")[0].replace("\0", ",").strip(),
            "brand": self.cell("Brands").split(",")[0].strip(),
            "tags": tags(self.cell("Tags")),
        }
        sku = self.cell("SKU")
        if "variable" in kinds or "grouped" in kinds:
            self._parents[f"id:{self.cell('ID')}"] = facts
            if sku:
                self._parents[sku] = facts
            self.counts["products of variations or groups, without a price of their own"] += 1
            return None
        if not sku:
            self.counts["without a SKU, whose ids are those of the shop"] += 1
            sku = self.cell("ID")
        parent = self._parents.get(self.cell("Parent"), {})
        facts = {name: value or parent.get(name, "") for name, value in facts.items()}
        price = self.cell("Regular price")
        if not price:
            self.miss(line, sku)
            return None
        if sale := self.cell("Sale price"):
            self.sell(sku, sale, self.cell("Date sale price starts"), _end(self.cell("Date sale price ends")))
        stock = self.stock("Stock") or ("0" if self.cell("In stock?") == "0" else "")
        return {**facts, "product_id": sku, "name": self.short(facts["name"]), "base_price": price, "stock": stock}


def _end(written: str) -> str:
    """The exclusive end of a sale whose last day or last second is written; another form stays, and is reported."""
    try:
        last = datetime.fromisoformat(written)
    except ValueError:
        return written
    step = timedelta(days=1) if len(written) == len("2026-11-27") else timedelta(seconds=1)
    return (last + step).isoformat()


SHOPS: dict[ShopName, type[Shop]] = {"shopify": Shopify, "woocommerce": WooCommerce}
