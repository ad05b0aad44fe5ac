"""The importer: a CSV file with our own column names becomes products, all of them or none."""

import csv
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from uuid import uuid4

import msgspec

from shared.catalogue import policies, prices, tasks
from shared.catalogue.database import Conn
from shared.catalogue.scope import Scope
from shared.errors import InvalidInput, translated
from shared.messaging import propagation
from shared.pricing.models import ProductInput

BATCH = 1_000
SHOWN_REJECTS = 20
REQUIRED = {"product_id", "name", "currency", "base_price"}
COLUMNS = ProductInput.__struct_fields__


class Reject(msgspec.Struct, frozen=True):
    """A row that cannot be imported: its line in the file, the column and what is wrong."""

    line: int
    column: str
    reason: str


class RejectedFile(Exception):
    """The file was refused whole.

    Attributes:
        rejects: The bad rows, in the order of the file; empty where the file itself is wrong.
    """

    def __init__(self, reason: str, rejects: list[Reject] | None = None) -> None:
        super().__init__(reason)
        self.rejects = rejects or []


class Imported(msgspec.Struct, frozen=True):
    """How many rows there were, and how many products are new or changed."""

    rows: int
    created: int
    changed: int


def read(path: Path) -> list[ProductInput]:
    """The products in a CSV file: UTF-8, a header with our column names, `tiers` as JSON.

    Raises:
        RejectedFile: it cannot be read, has no usable header, or has bad rows.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return _products(csv.DictReader(file, strict=True))
    except OSError as error:
        raise RejectedFile(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise RejectedFile(f"{path}: not UTF-8 text") from None
    except csv.Error as error:
        raise RejectedFile(f"{path}: no CSV: {error}") from None


def write(conn: Conn, inputs: list[ProductInput], step: Callable[[int], None] = lambda _: None) -> Imported:
    """Upsert products with their prices, in the caller's transaction.

    Products that had a price before get a `publication` task, which a worker finds in the database and by
    which Redis learns their new version. Unchanged ones cause no work.

    Args:
        conn: In a transaction.
        inputs: What to write.
        step: Called with the number of products after each batch of them.
    """
    policy, cause = policies.active(conn), prices.Cause("import", str(uuid4()))
    # In the order of the ids over all batches, so that two imports at once never deadlock.
    inputs = sorted(inputs, key=lambda product: product.product_id)
    changed: list[str] = []
    created: set[str] = set()
    for start in range(0, len(inputs), BATCH):
        batch = inputs[start : start + BATCH]
        repriced = prices.write_products(conn, batch, policy, cause)
        changed += repriced.changed
        created |= set(repriced.created)
        step(len(batch))
    if updated := tuple(product_id for product_id in changed if product_id not in created):
        tasks.create(conn, "publication", Scope(product_ids=updated), propagation.current()["traceparent"])
    return Imported(len(inputs), len(created), len(updated))


def _products(rows: "csv.DictReader[str]") -> list[ProductInput]:
    header = set(rows.fieldnames or ())
    if len(header) < len(rows.fieldnames or ()):
        raise RejectedFile("a column stands twice in the header")
    if missing := sorted(REQUIRED - header):
        raise RejectedFile(f"the header has no column {', '.join(missing)}; columns: {', '.join(COLUMNS)}")
    if unknown := sorted(header - set(COLUMNS)):
        raise RejectedFile(f"unknown column {unknown[0]!r}; columns: {', '.join(COLUMNS)}")
    products: dict[str, ProductInput] = {}
    rejects = list(_collect(rows, products))
    if rejects:
        raise RejectedFile(f"{len(rejects)} bad rows; nothing was imported", rejects)
    if not products:
        raise RejectedFile("no rows; nothing was imported")
    return list(products.values())


def _collect(rows: "csv.DictReader[str]", products: dict[str, ProductInput]) -> Iterable[Reject]:
    for row in rows:
        try:
            product = _product(row)
        except InvalidInput as error:
            yield Reject(rows.line_num, error.path.removeprefix("$").removeprefix(".") or "row", error.reason)
            continue
        if product.product_id in products:
            yield Reject(rows.line_num, "product_id", f"{product.product_id} stands in this file twice")
        products[product.product_id] = product


def _product(row: dict[str, str]) -> ProductInput:
    if None in row or None in row.values():
        raise InvalidInput("a wrong number of columns")
    filled: dict[str, object] = {name: value for name, value in row.items() if value != ""}
    with translated():
        if "tiers" in filled:
            filled["tiers"] = msgspec.json.decode(row["tiers"])
        return msgspec.convert(filled, ProductInput, strict=False)


def shown(rejects: list[Reject]) -> Iterator[str]:
    """The first rejects, a line each."""
    for reject in rejects[:SHOWN_REJECTS]:
        yield f"line {reject.line}, {reject.column}: {reject.reason}"
    if len(rejects) > SHOWN_REJECTS:
        yield f"… and {len(rejects) - SHOWN_REJECTS} more"
