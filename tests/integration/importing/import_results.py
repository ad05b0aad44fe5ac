"""The results of an import: products, rejects, counts."""

import csv
import io
from collections.abc import Callable
from pathlib import Path

from shared.catalogue import products
from shared.importing import source
from shared.importing.chunks import Block, chunks
from shared.importing.columns import Columns
from shared.postgres.pools import Pool
from shared.pricing.product import ProductInput
from tests.integration.importing_examples import NO_MAP, Done, imported

Writing = Callable[[str | bytes], Path]


def products_in(path: Path, columns: Columns = NO_MAP) -> list[ProductInput]:
    with source.opened(path, encoding=columns.encoding) as opened:
        reader, found = chunks(opened.lines, columns)
        return [
            reader.product(row)
            for chunk in found
            for row in (
                [reader.row(chunk.line, raw) for raw in chunk.text.splitlines() if raw.strip(reader.blank)]
                if isinstance(chunk, Block)
                else chunk
            )
        ]


def rejects_in(pool: Pool, path: Path) -> list[list[str]]:
    """Line, column, reason and raw text of every reject; the file has bad rows, so that nothing is imported."""
    done = imported(pool, path)
    assert done.code == 2
    return list(csv.reader(io.StringIO(done.rejects, newline="")))[1:]


def bad(pool: Pool, path: Path) -> list[tuple[int, str]]:
    return [(int(line), column) for line, column, _, _ in rejects_in(pool, path)]


def stored(pool: Pool, product_id: str) -> ProductInput:
    with pool.connection() as conn:
        return products.view(conn, product_id).product


def counts(done: Done) -> str:
    """The summary line without the time."""
    lines = [line for line in done.said.splitlines() if " rejected;" in line]
    return lines[-1].split(";")[0]
