"""The peer's application: FastAPI as its documentation has it, with what is known to make it quick."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime

import asyncpg
import msgspec
import orjson
import redis.asyncio
from fastapi import FastAPI, HTTPException, Request, Response

from shared import settings
from shared.pricing import query as engine
from shared.pricing.answer import NotQuoted, Quote
from shared.pricing.compiled import BoundSheet
from shared.pricing.quote import quote
from tests.bench.peer.models import PriceAnswer, PriceQuery, Source
from tests.bench.peer.observing import Observing, provider
from tests.bench.peer.sheets import Sheets

# As many as there may be queries at once; of PostgreSQL's, 4, 10 and 64 could not be told apart.
REDIS_CONNECTIONS = 64
DATABASE_CONNECTIONS = 16


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Pools for the life of the process, as many connections as there may be requests at once."""
    known = settings.load()
    tracing = provider(known.trace_read_ratio)
    pool = redis.asyncio.ConnectionPool.from_url(known.redis_url, max_connections=REDIS_CONNECTIONS, protocol=2)
    async with (
        redis.asyncio.Redis.from_pool(pool) as cache,
        asyncpg.create_pool(known.database_url, min_size=1, max_size=DATABASE_CONNECTIONS) as database,
    ):
        app.state.sheets = sheets = Sheets(cache, database)
        await sheets.read_markets()
        refreshing = asyncio.create_task(sheets.refresh_markets())
        yield
        refreshing.cancel()
        with suppress(asyncio.CancelledError):
            await refreshing
    tracing.shutdown()


# FastAPI's own telemetry would trace every request a second time.
app = FastAPI(title="Peer", lifespan=lifespan, telemetry={"tracing": False, "metrics": False, "logs": False})
app.add_middleware(Observing)


@app.get("/health/ready")
async def ready() -> dict[str, str]:
    """Whether it serves."""
    return {"status": "ready"}


@app.post("/api/v1/price", response_model=PriceAnswer)
async def get_price(query: PriceQuery, request: Request, explain: bool = False) -> Response:
    """Price one query."""
    sheets: Sheets = request.app.state.sheets
    found = await sheets.find(query.product_id)
    if found is None:
        raise HTTPException(404, f"no product {query.product_id!r}")
    sheet, source = found
    asked = engine.PriceQuery(**dict(query))
    try:
        bound = BoundSheet(sheets.terms.rules, sheet)
        priced = quote(sheets.terms, bound, asked, datetime.now(UTC), explain=explain)
    except NotQuoted as error:
        raise HTTPException(422, str(error)) from None
    return Response(_encode(priced, source), media_type="application/json")


def _encode(priced: Quote, source: Source) -> bytes:
    """By orjson: 2 µs, where FastAPI's own way through Pydantic takes 8."""
    if priced.steps is not None:
        fields = msgspec.to_builtins(priced)
    else:
        fields = {name: value for name, value in msgspec.structs.asdict(priced).items() if value not in (None, ())}
        fields["valid_until"] = priced.valid_until
    return orjson.dumps(fields | {"source": source}, default=str, option=orjson.OPT_UTC_Z)
