"""PostgreSQL is away."""

import time
from collections import Counter

import httpx

from tests.chaos.case import Case, Figure
from tests.chaos.context import Context
from tests.support.waiting import eventually

AWAY_S, QUICK_AWAY_S = 30.0, 8.0
WARM_READS = 5
MISSING = "no-such-product"


def _away(context: Context) -> Figure:
    _warm(context)
    with context.environment.servers.stopped("postgres"):
        began = time.monotonic()
        before, refused = len(context.reader.reads), len(context.traffic.refusals)
        misses = _refused_writes(context)
        time.sleep(max(0.0, began + (QUICK_AWAY_S if context.quick else AWAY_S) - time.monotonic()))  # the fault itself
        reads = context.reader.reads[before:]
    accepted = len(context.traffic.accepted)
    took = context.seconds_until(lambda: len(context.traffic.accepted) > accepted, "an update is accepted again")
    refusals = context.traffic.refusals[refused:]
    bad = Counter(
        f"{r.status}, Retry-After {r.retry_after!r}" for r in refusals if not _is_refusal(r.status, r.retry_after)
    )
    misses += [
        f"{count} updates were not refused with 503 and Retry-After but with {what}" for what, count in bad.items()
    ]
    misses += [] if refusals and reads else ["nothing was read, or no update refused"]
    good = sum(read.status == 200 for read in reads)
    slowest = max((read.ended - read.at for read in reads), default=0.0)
    text = (
        f"{good} of {len(reads)} cached reads answered, the slowest in {slowest:.2f} s; {len(refusals)} updates refused"
    )
    return Figure(f"{text}; recovered in {took:.1f} s", misses)


def _warm(context: Context) -> None:
    """Wait until every product that is read is cached, and every process of the API has answered."""
    ids = set(context.reader.product_ids)

    def look() -> bool:
        seen = Counter(read.product_id for read in list(context.reader.reads))
        return all(seen[product_id] >= WARM_READS for product_id in ids)

    eventually(look, "every product was read some times")


def _refused_writes(context: Context) -> list[str]:
    """What is wrong with how other writes, and reads of what is not cached, are refused."""
    url, headers = f"{context.environment.engine.http.base_url}/api/v1", context.environment.engine.authorized
    product = {"product_id": MISSING, "name": "Chaos", "currency": "USD", "base_price": "1.00"}
    with httpx.Client(headers=headers, trust_env=False, timeout=10) as http:
        answers = {
            "a product": http.put(f"{url}/products/{MISSING}", json=product),
            "a recalculation": http.post(f"{url}/recalculate"),
            "an uncached price": http.post(f"{url}/price", json={"product_id": MISSING}),
        }
    return [
        f"{what} was answered {answer.status_code}, Retry-After {answer.headers.get('retry-after')!r}"
        for what, answer in answers.items()
        if not _is_refusal(answer.status_code, answer.headers.get("retry-after", ""))
    ]


def _is_refusal(status: int, retry_after: str) -> bool:
    return status == 503 and retry_after.isdigit() and int(retry_after) > 0


CASES = (
    Case(
        "postgres-away",
        "PostgreSQL away 30 s",
        "cached reads 100 %, writes 503 with Retry-After, recovery by itself",
        _away,
    ),
)
