"""The fast path: answers price queries without the framework; the only module that goes round Litestar.

Its answers equal those of the plain handler in `api.routes.prices`, byte for byte. A request that is not a valid price
query, wants an explanation, or is for a past instant, is passed to that handler: an explanation depends on the caller's
key and is never remembered. The OpenAPI document describes the handler.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import TypeGuard

import msgspec
from litestar.types import HTTPScope, ReceiveMessage, Scope

from api.bulkheads import Bulkheads
from api.edge.identity import key_in, key_of
from api.edge.tracing import RequestTrace
from api.http.answers import PRICE_PATH, encoded, is_past, sheet_for
from api.http.negotiation import is_usual
from api.http.problems import Rendered, render
from api.services import Services
from shared.access import scopes
from shared.cache.near import Held
from shared.cache.reader import PriceReader, Source
from shared.pricing.answer import Quote
from shared.pricing.compiled import Terms
from shared.pricing.entries import PriceEntry
from shared.pricing.query import PriceQuery
from shared.pricing.quote import quote
from shared.pricing.sheet import PriceSheet

IsUsual = Callable[[Iterable[tuple[bytes, bytes]]], bool]

_TAKEN = (b"", b"explain=false")
JSON = (b"content-type", b"application/json")
# The number of remembered answers, and the longest query whose answer is remembered: 13 MB at most, and the sheets.
ANSWERS = 16_384
ANSWERED_BYTES = 256

_decoder = msgspec.json.Decoder(PriceQuery)


class _Remembered(msgspec.Struct, frozen=True, gc=False):
    """The answer to a body, its sheet, and its end, in seconds since 1970; None: no end is known."""

    held: Held
    sheet: PriceSheet
    answer: bytes
    until: float | None


class FastPath:
    """Answers price queries from their bytes.

    A price depends only on the query, the sheet, the rulebook, the market values and the instant. The same bytes
    therefore get the same answer as before, until the answer's `valid_until`, as long as the near cache has the same
    sheet, and rulebook and values are the same. A query that needs a key is remembered by nobody.
    """

    def __init__(
        self,
        services: Callable[[], Services],
        is_usual: IsUsual = is_usual,
        bulkheads: Bulkheads | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        """A fast path.

        Args:
            services: Returns the process's services, once the application has started.
            is_usual: Whether the headers of a request leave nothing to the framework.
            bulkheads: Counts the queries that wait for a sheet.
            now: The time, in seconds since 1970.
        """
        self._services, self._is_usual, self._bulkheads = services, is_usual, bulkheads or Bulkheads()
        self._is_usual_for_all = is_usual
        self._now = now
        # Kept, since asking the framework's state for them costs more than the near cache.
        self._running: Services | None = None
        # By the rulebook and the market values `_terms`.
        self._remembered: OrderedDict[bytes, _Remembered] = OrderedDict()
        self._terms: Terms | None = None
        # By the length of the body: the last headers that said no more than any others.
        self._plain: dict[int, list[tuple[bytes, bytes]]] = {}

    def leave_limited(self, are_there: bool) -> None:
        """Leave callers whose key has a limit to the framework; called each time that the keys were read.

        Args:
            are_there: Whether there are such keys; without them nothing is looked up.
        """
        self._plain.clear()
        self._is_usual = self._is_usual_and_unlimited if are_there else self._is_usual_for_all

    def takes(self, scope: Scope) -> TypeGuard[HTTPScope]:
        """Whether a connection is a price query that may be usual."""
        is_query = scope.get("path") == PRICE_PATH and scope.get("method") == "POST"
        return is_query and scope["query_string"] in _TAKEN

    def plain_body(self, scope: HTTPScope, message: ReceiveMessage) -> bytes | None:
        """The body, where the headers leave nothing to the framework and continue no trace."""
        if message["type"] != "http.request":
            return None
        body = message["body"]
        # Comparing all headers at once takes less time than looking for one of them.
        return body if scope["headers"] == self._plain.get(len(body)) or self._is_plain(scope, message) else None

    def at_once(self, scope: HTTPScope, body: bytes) -> bytes | PriceQuery | None:
        """The answer to a `plain_body`, where no server is needed for it; else the query, or None where it is none.

        The same bytes as before have the same answer, while that holds.
        """
        known = self._remembered.get(body)
        if (
            known is not None
            and (known.until is None or known.until > self._now())
            and (self._running or self._started()).reader.still_holds(known.held, known.sheet, self._terms)
        ):
            return known.answer
        query = _decoded(body)
        if query is None or query.customer_id is not None:
            return query
        now = datetime.fromtimestamp(self._now(), UTC)
        is_for_keys = query.is_for_keys
        if is_for_keys and (is_past(query, now) or not self._allows(scope)):
            return query
        try:
            basis = self._started().reader.held(query.product_id)
            if basis is None:
                return query
            priced = quote(basis.terms, basis.bound, query, query.at or now)
        except Exception:  # noqa: BLE001 # `answer` meets it again, and renders it
            return query
        answer = encoded(priced, "cache")
        if not is_for_keys and len(body) <= ANSWERED_BYTES:
            until = None if priced.valid_until is None else priced.valid_until.timestamp()
            self._remember(body, _Remembered(basis.held, basis.bound.sheet, answer, until), basis.terms)
        return answer

    async def answer(
        self,
        scope: HTTPScope,
        message: ReceiveMessage,
        trace: RequestTrace,
        plain: bytes | None = None,
        query: PriceQuery | None = None,
    ) -> Rendered | None:
        """The answer to a request that `takes` allows; None: the framework is to answer it.

        Args:
            scope: The request.
            message: Its first message.
            trace: Its trace.
            plain: Its `plain_body`, which has no answer `at_once` or whose trace is recorded.
            query: The query in it, where it was decoded.
        """
        if query is None:
            asked = plain if plain is not None else self._usual_body(scope, message)
            if asked is None:
                return None
            found = self.at_once(scope, asked) if trace.span is None else _decoded(asked)
            if found is None:
                return None
            if isinstance(found, bytes):
                return Rendered(200, (JSON,), found, "cache")
            query = found
        now = datetime.fromtimestamp(self._now(), UTC)
        if query.is_for_keys and (is_past(query, now) or not self._allows(scope)):
            return None
        try:
            if trace.span is None:
                return await self._price(query, now)
            with trace.entered():
                answer = await self._price(query, now)
            trace.span.set_attribute("pricing.source", answer.source)
            return answer
        except Exception as error:  # noqa: BLE001 # every error has its answer, as behind the framework
            with trace.entered():
                return render(error, PRICE_PATH)

    async def _price(self, query: PriceQuery, now: datetime) -> Rendered:
        reader, at = self._started().reader, query.at or now
        if basis := reader.held(query.product_id):
            contract = await self._contract(reader, query, basis.terms) if query.customer_id is not None else ()
            return _rendered(quote(basis.terms, basis.bound, query, at, contract=contract), "cache")
        with self._bulkheads.taken("prices"):
            found, terms = await reader.find_one(query.product_id)
            contract = await self._contract(reader, query, terms) if query.customer_id is not None else ()
        bound, source = sheet_for(query, found)
        return _rendered(quote(terms, bound, query, at, contract=contract), source)

    async def _contract(self, reader: PriceReader, query: PriceQuery, terms: Terms) -> tuple[PriceEntry, ...]:
        """The entries of the query's customer for its product."""
        return next(iter((await reader.contracts([query], terms)).values()), ())

    def _started(self) -> Services:
        if self._running is None:
            self._running = self._services()
        return self._running

    def _allows(self, scope: HTTPScope) -> bool:
        """Whether the caller may name customers, groups, attributes and instants."""
        services = self._started()
        if services.settings.trust_callers:
            return True
        key = key_of(services, scope)
        return key is not None and scopes.allow(key.scopes, "prices:read")

    def _usual_body(self, scope: HTTPScope, message: ReceiveMessage) -> bytes | None:
        """The body, where it is whole, and the headers leave nothing to the framework."""
        body = _whole(message, scope["headers"])
        return body if body is not None and self._is_usual(scope["headers"]) else None

    def _is_plain(self, scope: HTTPScope, message: ReceiveMessage) -> bool:
        body, headers = self._usual_body(scope, message), list(scope["headers"])
        if body is None or any(name == b"traceparent" for name, _ in headers):
            return False
        if len(body) <= ANSWERED_BYTES and (b"content-length", b"%d" % len(body)) in headers:
            self._plain[len(body)] = headers
        return True

    def _is_usual_and_unlimited(self, headers: Iterable[tuple[bytes, bytes]]) -> bool:
        if not self._is_usual_for_all(headers):
            return False
        found = [value for name, value in headers if name == b"authorization"]
        keys = [self._services().keys.held(key_in(value.decode("latin-1"))) for value in found]
        return all(key is None or key.prices_per_s is None for key in keys)

    def _remember(self, asked: bytes, answered: _Remembered, terms: Terms) -> None:
        if self._terms is not terms:
            # Answers of former rulebooks hold no longer, and would keep those in memory.
            self._remembered.clear()
            self._terms = terms
        self._remembered[asked] = answered
        if len(self._remembered) > ANSWERS:
            self._remembered.popitem(last=False)


class FastPathForKeys(FastPath):
    """Answers only callers whose key has `prices:read`. The framework answers the others, and looks unknown keys up."""

    def takes(self, scope: Scope) -> TypeGuard[HTTPScope]:
        """Whether a connection is such a price query by a known key."""
        if not super().takes(scope):
            return False
        found = [value for name, value in scope["headers"] if name == b"authorization"]
        key = self._services().keys.held(key_in(found[0].decode("latin-1"))) if len(found) == 1 else None
        return key is not None and scopes.allow(key.scopes, "prices:read")


def _decoded(body: bytes) -> PriceQuery | None:
    """The query in a body; None: it is no valid one."""
    try:
        return _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _rendered(priced: Quote, source: Source) -> Rendered:
    return Rendered(200, (JSON,), encoded(priced, source), source)


def _whole(message: ReceiveMessage, headers: Iterable[tuple[bytes, bytes]]) -> bytes | None:
    """The body, where the first message has all of it."""
    if message["type"] != "http.request":
        return None
    body = message["body"]
    # As long as announced: asking for the end would be a second round through the server.
    if message["more_body"] and (b"content-length", b"%d" % len(body)) not in headers:
        return None
    return body
