"""The exporter: writes the catalogue, whatever its size, in the format that the importer reads."""

from pathlib import Path
from typing import BinaryIO

from psycopg import sql

from shared.importing import outputs, tables
from shared.importing.spreadsheets import FORMULA
from shared.importing.tables import Form
from shared.postgres.pools import Conn


def run(conn: Conn, path: Path, form: Form, category: str | None = None, *, for_spreadsheets: bool = False) -> int:
    """Write the products in the order of their ids; returns their number.

    A regular file appears, or is replaced, only when it is complete.

    Args:
        conn: In a transaction.
        path: The file; `-` is standard output. A name that ends in `.gz` is compressed.
        form: CSV or XLSX with a header, or JSON Lines with amounts as strings.
        category: Only products of this category; None: all.
        for_spreadsheets: CSV: put an apostrophe before texts that a spreadsheet program would run as a formula.

    Raises:
        OSError: the file cannot be written.
    """
    with outputs.exported(path) as file:
        if form == "csv":
            return _write_csv(conn, file, category, _PROTECTED if for_spreadsheets else _PLAIN)
        if form == "jsonl":
            return _write_json(conn, file, category)
        return _write_sheet(conn, file, category)


def _selected(category: str | None, text: sql.SQL) -> sql.Composed:
    texts = {f"{name}_text": text.format(column=sql.Identifier(name), formula=sql.Literal(FORMULA)) for name in _TEXTS}
    return _SELECT.format(category=sql.Literal(category), **texts)


def _write_sheet(conn: Conn, file: BinaryIO, category: str | None) -> int:
    with conn.cursor("exported") as cursor:
        cursor.execute(_selected(category, _PLAIN))
        names = [column.name for column in cursor.description or ()]
        return tables.write(file, "xlsx", names, (tuple(row.values()) for row in cursor))


def _write_csv(conn: Conn, file: BinaryIO, category: str | None, text: sql.SQL) -> int:
    cursor = conn.cursor()
    with cursor.copy(_CSV.format(_selected(category, text))) as copy:
        for data in copy:
            file.write(data)
    return cursor.rowcount


def _write_json(conn: Conn, file: BinaryIO, category: str | None) -> int:
    cursor = conn.cursor()
    with cursor.copy(_JSON.format(category=sql.Literal(category))) as copy:
        copy.set_types(["text"])
        for (line,) in copy.rows():
            file.write(line.encode() + b"\n")
    return cursor.rowcount


_TEXTS = ("name", "category", "strategy", "brand", "tax_class")
_PLAIN = sql.SQL("{column}")
_PROTECTED = sql.SQL("CASE WHEN {column} ~ {formula} THEN '''' || {column} ELSE {column} END AS {column}")

_SELECT = sql.SQL("""
SELECT product_id, {name_text}, {category_text}, currency, base_price, cost, stock, min_price, max_price,
    {strategy_text},
    CASE WHEN tiers <> '[]' THEN tiers END AS tiers, {brand_text}, CASE WHEN tags <> '[]' THEN tags END AS tags,
    content->>'amount' AS content_amount, content->>'unit' AS content_unit, {tax_class_text}, quantity_step,
    price_decimals, map_price, rrp
FROM products WHERE {category}::text IS NULL OR category = {category}::text ORDER BY product_id
""")
_CSV = sql.SQL("COPY ({}) TO STDOUT (FORMAT csv, HEADER)")

_JSON = sql.SQL("""
COPY (
    SELECT row_to_json(p)::text FROM (
        SELECT product_id, name, category, currency, base_price::text, cost::text, stock, min_price::text,
            max_price::text, strategy, tiers, brand, tags, content, tax_class, quantity_step::text, price_decimals,
            map_price::text, rrp::text
        FROM products WHERE {category}::text IS NULL OR category = {category}::text ORDER BY product_id) p
) TO STDOUT
""")
