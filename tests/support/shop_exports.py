"""Exports of shops with their traps, made for tests: 300 rows each, with the right prices."""

import csv
import io
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from tests.support.workbooks import Cell, workbook


class Export(NamedTuple):
    """An export.

    Attributes:
        content: The bytes of the file.
        arguments: The options of `just import` that it needs.
        prices: Id → list price, of every product.
        sales: Id → sale price.
    """

    content: bytes
    arguments: Sequence[str]
    prices: dict[str, str]
    sales: dict[str, str]


def shopify() -> Export:
    """100 products of three rows: two variants and a picture. Facts stand on the first row alone."""
    header = _names(
        "Handle,Title,Body (HTML),Vendor,Product Category,Type,Tags,Published,Option1 Name,Option1 Value,Variant SKU,"
        "Variant Grams,Variant Inventory Tracker,Variant Inventory Qty,Variant Price,Variant Compare At Price,"
        "Image Src,Cost per item,Status"
    )
    rows, prices, sales = list[dict[str, str]](), dict[str, str](), dict[str, str]()
    for at in range(100):
        first = {
            "Title": f"Jacket, no. {at}", "Body (HTML)": "<p>Warm,\n\"light\", dry</p>", "Vendor": "Acme",
            "Type": "Jackets", "Tags": "new, red, new",
        }  # fmt: skip
        for size in "SM":
            sku, price, before = f"JK-{at}-{size}", f"{at + 20}.90", f"{at + 30}.00" if at % 4 == 0 else ""
            if size == "M" and at == 7:
                sku = ""
            if not (size == "M" and at == 9):
                known = sku or f"jacket-{at}-M"
                prices[known] = before or price
                if before:
                    sales[known] = price
            rows.append({
                "Handle": f"jacket-{at}", **first, "Option1 Name": "Size", "Option1 Value": size, "Variant SKU": sku,
                "Variant Inventory Tracker": "shopify", "Variant Inventory Qty": str(at - 3),
                "Variant Price": "" if size == "M" and at == 9 else price, "Variant Compare At Price": before,
                "Cost per item": "9.50",
            })  # fmt: skip
            first = {}
        rows.append({"Handle": f"jacket-{at}", "Image Src": "https://shop.example/2.png"})
    content = _table(header, ([row.get(name, "") for name in header] for row in rows))
    return Export(content.encode(), ["--from", "shopify", "--currency", "EUR"], prices, sales)


def woocommerce() -> Export:
    """100 variable products with two variations each; some on sale, with dates."""
    header = _names(
        "ID,Type,SKU,Name,Published,In stock?,Stock,Sale price,Regular price,Categories,Tags,Parent,"
        "Date sale price starts,Date sale price ends"
    )
    rows, prices, sales = list[dict[str, str]](), dict[str, str](), dict[str, str]()
    for at in range(100):
        parent = f"HD-{at}" if at % 2 else ""
        facts = {"Categories": "Clothing > Hoodies, Sale", "Tags": "soft", "Name": f"Hoodie {at}"}
        rows.append({"ID": str(at * 3 + 1), "Type": "variable", "SKU": parent, **facts})
        for colour in "RG":
            sku = f"HD-{at}-{colour}"
            prices[sku] = f"{at + 40}.00"
            sale = {"Sale price": f"{at + 35}.50"} if at % 5 == 0 else {}
            if at % 10 == 0:
                sale |= {"Date sale price starts": "2020-01-01", "Date sale price ends": "2099-12-31 23:59:59"}
            if sale:
                sales[sku] = sale["Sale price"]
            rows.append({
                "ID": str(at * 3 + 2), "Type": "variation", "SKU": sku, "Name": f"Hoodie {at} - {colour}",
                "In stock?": "0", "Stock": "-2" if at == 1 else "", "Regular price": f"{at + 40}",
                "Parent": parent or f"id:{at * 3 + 1}", **sale,
            })  # fmt: skip
    content = _table(header, ([row.get(name, "") for name in header] for row in rows))
    return Export(b"\xef\xbb\xbf" + content.encode(), ["--from", "woocommerce", "--currency", "EUR"], prices, sales)


def excel() -> Export:
    """A German Excel's CSV: semicolons, decimal commas, Windows-1252, blank rows at the end."""
    rows = [[f"E{at}", f"Küchenmesser groß; {at}", "eur ", f"1.{at:03},9{at % 10}", f"{at},0"] for at in range(300)]
    text = _table(["Product_ID", " Name", "Currency", "Base Price", "stock"], rows, ";") + ";;;;\r\n;;;;\r\n"
    return Export(text.encode("cp1252"), [], {f"E{at}": f"1{at:03}.9{at % 10}" for at in range(300)}, {})


def xlsx() -> Export:
    """A workbook with ids that are numbers, prices that are numbers or texts, and blank rows between."""
    rows: list[list[Cell]] = [["product_id", "NAME", "Currency", "base price"]]
    for at in range(300):
        price: Cell = f"{at},50" if at % 3 == 0 else at + 0.5
        rows += [[float(4_006_381_000_000 + at), f'Screen 17" {at}', "EUR", price], [None] * 4]
    return Export(workbook(rows), [], {str(4_006_381_000_000 + at): f"{at}.5" for at in range(300)}, {})


def _names(text: str) -> list[str]:
    return text.split(",")


def _table(header: Sequence[str], rows: Iterable[Sequence[str]], delimiter: str = ",") -> str:
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter).writerows([header, *rows])
    return text.getvalue()
