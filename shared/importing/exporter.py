"""The exporter: writes the catalogue, whatever its size, in the format that the importer reads."""

import gzip
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Literal, cast

from psycopg import sql

from shared.postgres.pools import Conn

STDOUT = Path("-")
Format = Literal["csv", "jsonl"]


def format_of(path: Path) -> Format:
    """The format by a file's name: `.jsonl` and `.jsonl.gz` are JSON Lines, all others CSV."""
    return "jsonl" if path.name.removesuffix(".gz").endswith(".jsonl") else "csv"


def run(conn: Conn, path: Path, form: Format, category: str | None = None) -> int:
    """Write the products in the order of their ids; returns their number.

    The file appears, or is replaced, only when it is complete.

    Args:
        conn: In a transaction.
        path: The file; `-` is standard output. A name that ends in `.gz` is compressed.
        form: CSV with a header, or JSON Lines with amounts as strings.
        category: Only products of this category; None: all.

    Raises:
        OSError: the file cannot be written.
    """
    with _opened(path) as file:
        return _write_csv(conn, file, category) if form == "csv" else _write_json(conn, file, category)


def _write_csv(conn: Conn, file: BinaryIO, category: str | None) -> int:
    cursor = conn.cursor()
    with cursor.copy(_CSV.format(category=sql.Literal(category))) as copy:
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


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    if path == STDOUT:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("xb") as file:
            if path.name.endswith(".gz"):
                with gzip.GzipFile(path.name.removesuffix(".gz"), "wb", fileobj=file) as packed:
                    yield cast(BinaryIO, packed)
            else:
                yield file
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


_CSV = sql.SQL("""
COPY (
    SELECT product_id, name, category, currency, base_price, cost, stock, min_price, max_price, strategy,
        CASE WHEN tiers <> '[]' THEN tiers END AS tiers
    FROM products WHERE {category}::text IS NULL OR category = {category}::text ORDER BY product_id
) TO STDOUT (FORMAT csv, HEADER)
""")

_JSON = sql.SQL("""
COPY (
    SELECT row_to_json(p)::text FROM (
        SELECT product_id, name, category, currency, base_price::text, cost::text, stock, min_price::text,
            max_price::text, strategy, tiers
        FROM products WHERE {category}::text IS NULL OR category = {category}::text ORDER BY product_id) p
) TO STDOUT
""")
