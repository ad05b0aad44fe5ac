"""The terminal: one connection per command, tables, and errors of one sentence.

Foreign text is escaped here: a name or a reason can neither move the cursor nor imitate a line of the engine.
"""

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import click
import msgspec
import psycopg
from click.core import ParameterSource
from rich.console import Console
from rich.table import Table
from rich.text import Text

from shared.access import audit
from shared.errors import PricingError, translate
from shared.postgres import pools
from shared.postgres.pools import Conn
from shared.printable import indented, printable
from shared.settings import Settings

INTERRUPTED, BROKEN_PIPE = 130, 141  # the exit codes of a shell for processes ended by SIGINT and SIGPIPE

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
        raise failure(f"{translate(error)}; is it running? `just up`, or PRICING_DATABASE_URL") from None
    except (PricingError, psycopg.DataError) as error:
        raise failure(str(translate(error) or error)) from None


@contextmanager
def writing(settings: Settings) -> Iterator[Conn]:
    """As `connection`, for a command that writes: the same transaction stores its entry in the audit log."""
    with connection(settings) as conn:
        yield conn
        note_write(conn)


def note_write(conn: Conn) -> None:
    """Store the running command's entry in the audit log, in the transaction of what it writes."""
    audit.record(conn, audit.by_command(_typed(click.get_current_context(silent=True))))


def _typed(context: click.Context | None) -> str:
    """The command with its arguments and options, as names and values: `just keys revoke key_id=7`."""
    words = [] if context is None else [f"{name}={value}" for name, value in _given(context)]
    level = context
    while level is not None and level.command.name not in (None, "main"):
        words.insert(0, str(level.command.name))
        level = level.parent
    return " ".join(["just", *words])


def _given(context: click.Context) -> Iterator[tuple[str, object]]:
    """The parameters that were typed."""
    for name, value in context.params.items():
        if value and context.get_parameter_source(name) is not ParameterSource.DEFAULT:
            yield name, value


class Id(click.types.UUIDParameterType):
    """The id of a task, plan or hold; the error of another text names the command that lists them."""

    def __init__(self, listed_by: str) -> None:
        self._listed_by = listed_by

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The id."""
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter:
            self.fail(f"{value!r} is not an id; `{self._listed_by}` lists them", param, ctx)


def failure(text: str) -> click.ClickException:
    """The error that ends a command with one line of text."""
    return click.ClickException(printable(text))


def print_line(text: str, to: Console = console, style: str = "") -> None:
    """Print one line of text."""
    to.print(Text(printable(text), style), soft_wrap=True)


def show(item: object, names: Iterable[str], traceback: str | None) -> None:
    """Print attributes of an item, one per line, and a traceback below them."""
    for name in names:
        value = getattr(item, name)
        print_line(f"{name}: {msgspec.to_builtins(value) if isinstance(value, msgspec.Struct) else value}", out)
    if traceback:
        out.print(Text(indented(traceback)), soft_wrap=True, end="")


def table(*columns: str) -> Table:
    """A table without lines; its last column wraps."""
    made = Table(box=None, pad_edge=False)
    for column in columns[:-1]:
        made.add_column(column, no_wrap=True)
    made.add_column(columns[-1], overflow="fold")
    return made


def add_row(table: Table, *cells: str) -> None:
    """Add a row."""
    table.add_row(*(Text(printable(cell)) for cell in cells))


def plural(count: int, one: str, many: str = "") -> str:
    """A number with its noun: 1 row, 1,200 rows."""
    return f"{count:,} {one if count == 1 else many or f'{one}s'}"


def counted(counts: dict[str, int]) -> str:
    """Numbers by status, in one line."""
    return ", ".join(f"{count:,} {status}" for status, count in sorted(counts.items())) or "none"
