"""Checking: rows become lines for COPY, each with its product and first price or with what is wrong with it.

This is most of an import's work, so long files are shared out to processes.
"""

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from datetime import datetime
from itertools import chain, islice

import msgspec

from shared.catalogue import products
from shared.catalogue.importing.columns import RefusedFile
from shared.catalogue.importing.rows import Reader, Row
from shared.catalogue.policies import ActivePolicy
from shared.errors import InvalidInput
from shared.pricing.models import ProductInput
from shared.pricing.repricing import decide, sheet_of

PRODUCT = (*products.FIELDS, "tiers")
COLUMNS = ("line", "raw", "field", "reason", *PRODUCT, "published_price", "sheet")
CHUNK = 2_000
PROCESSES = min(os.cpu_count() or 1, 8)
ROW = "row"


class Check(msgspec.Struct, frozen=True):
    """What a row is checked by.

    Attributes:
        policy: Decides the first price of products that are new.
        at: When that is.
    """

    reader: Reader
    policy: ActivePolicy
    at: datetime

    def lines(self, rows: Iterable[Row]) -> bytes:
        """The rows in PostgreSQL's text format, in the order of `COLUMNS`."""
        return "".join([self._line(row) for row in rows]).encode()

    def _line(self, row: Row) -> str:
        try:
            product = self.reader.product(row)
        except InvalidInput as error:
            field = error.path.removeprefix("$").strip(".") or ROW
            return _copied((row.line, printable(row.raw), field, printable(error.reason), *_NO_PRODUCT))
        *fields, tiers = msgspec.structs.astuple(product)
        return _copied((row.line, printable(row.raw), None, None, *fields, _json(tiers), *self._first_price(product)))

    def _first_price(self, product: ProductInput) -> tuple[object, str]:
        """What `prices.reprice` would decide: a product that is not there yet has neither signals nor a last price."""
        policy = self.policy
        decision = decide(product, (), policy.policy, None)
        sheet = sheet_of(
            product,
            decision,
            version=1,
            policy_version=policy.version,
            policy=policy.policy,
            computed_at=self.at,
        )
        return sheet.published_price, _json(sheet)


def checked(check: Check, rows: Iterator[Row]) -> Iterator[bytes]:
    """The rows for COPY, in chunks and in their order; a few chunks are in work at once, whatever the file's size.

    Raises:
        RefusedFile: a process that checked rows was killed.
    """
    chunks = iter(lambda: list(islice(rows, CHUNK)), [])
    first = next(chunks, [])
    if len(first) < CHUNK:
        yield check.lines(first)
        return
    try:
        yield from _shared_out(check, chain([first], chunks))
    except BrokenProcessPool:
        raise RefusedFile("a process that checked its rows was killed") from None


def _shared_out(check: Check, chunks: Iterable[list[Row]]) -> Iterator[bytes]:
    waiting: deque[Future[bytes]] = deque()
    # Not forked: a child would hold the connection to PostgreSQL open after its parent was killed.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(PROCESSES, context, initializer=_begin) as pool:
        for chunk in chunks:
            waiting.append(pool.submit(check.lines, chunk))
            if len(waiting) > 2 * PROCESSES:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def printable(raw: str) -> str:
    """Text that PostgreSQL stores: it takes no NUL, and nothing writes a lone surrogate."""
    if raw.isascii() and "\0" not in raw:
        return raw
    return raw.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace").replace("\0", "\\x00")


def _begin() -> None:
    """Ctrl-C is the parent's affair; and a process whose parent was killed would wait for ever."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    if parent := multiprocessing.parent_process():
        parent.join()
    os._exit(1)


def _copied(values: tuple[object, ...]) -> str:
    return "\t".join(["\\N" if value is None else _escaped(str(value)) for value in values]) + "\n"


def _escaped(text: str) -> str:
    """As https://www.postgresql.org/docs/current/sql-copy.html asks for in its text format."""
    return text.replace("\\", r"\\").replace("\t", r"\t").replace("\n", r"\n").replace("\r", r"\r")


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


_NO_PRODUCT = (None,) * (len(COLUMNS) - 4)
