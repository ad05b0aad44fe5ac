"""The terminal: one connection per command, tables, and errors of one sentence."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click
import psycopg
from rich.console import Console
from rich.table import Table
from rich.text import Text

from shared.errors import PricingError, translate
from shared.postgres import pools
from shared.postgres.pools import Conn
from shared.settings import Settings

# In a file or a pipe every column has room.
out = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 250)
console = Console(stderr=True, highlight=False, soft_wrap=True)


@contextmanager
def connection(settings: Settings) -> Iterator[Conn]:
    """One connection in one transaction; an error becomes a ClickException of one sentence."""
    try:
        with pools.connect(settings, "pricing-catalogue") as conn:
            yield conn
    except psycopg.OperationalError as error:
        raise click.ClickException(f"{translate(error)}; is it running? `just up`, or PRICING_DATABASE_URL") from None
    except PricingError as error:
        raise click.ClickException(str(error)) from None


def table(*columns: str) -> Table:
    """A table without lines; its last column wraps."""
    made = Table(box=None, pad_edge=False)
    for column in columns[:-1]:
        made.add_column(column, no_wrap=True)
    made.add_column(columns[-1], overflow="fold")
    return made


def add_row(table: Table, *cells: str) -> None:
    """Add a row; control characters in its cells are removed."""
    table.add_row(*(Text("".join(c for c in click.unstyle(cell) if c.isprintable())) for cell in cells))


def counted(counts: dict[str, int]) -> str:
    """Numbers by status, in one line."""
    return ", ".join(f"{count:,} {status}" for status, count in sorted(counts.items())) or "none"
