"""Before and after the measurement: everybody answers the same, and what was promised is seen."""

import secrets
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import httpx

from tests.bench import catalogue
from tests.bench.judge import Bar
from tests.bench.series import PRICE, Series
from tests.bench.wrk import CONNECTIONS, CannotMeasure
from tests.load import histogram
from tests.support.collector import Collector
from tests.support.waiting import eventually

SAMPLES = 50
DURATION = "http_request_duration_seconds"


def compare(urls: Mapping[str, str]) -> None:
    """Ask every server the same sample queries.

    Raises:
        CannotMeasure: two of them answer something else, wherever it came from.
    """
    queries = [query | more for query in catalogue.hot_queries(SAMPLES) for more in ({}, {"currency": "EUR"})]
    queries += [{"product_id": "P-100", "quantity": 0}, {"product_id": "P-100", "surprise": 1}, {"product_id": "no"}]
    with httpx.Client(timeout=30, trust_env=False) as http:
        for query in queries:
            found = {name: _answer(http, url, query) for name, url in urls.items()}
            first = next(iter(found))
            for name, answer in found.items():
                if answer != found[first]:
                    raise CannotMeasure(f"{query}: {first} answers {found[first]}, {name} answers {answer}")


def completeness(near: Series, redis: Series, collector: Collector, key: str) -> list[Bar]:
    """That with all this speed every request is in the histogram, and a sampled one shows its spans."""
    return [
        Bar("requests in the histogram, near cache, of those answered", _counted(near), "≥", 1),
        Bar("spans of a sampled query, near cache", _spans(near, collector, key, 1), "≥", 1),
        Bar("spans of a sampled query, Redis only", _spans(redis, collector, key, 2), "≥", 2),
    ]


def _answer(http: httpx.Client, url: str, query: Mapping[str, object]) -> tuple[int, dict[str, Any]]:
    response = http.post(url + PRICE, json=query)
    # Errors are the same by their status; where a sheet came from is what is measured.
    fields = response.json() if response.status_code == 200 else {}
    fields.pop("source", None)
    return response.status_code, fields


def _counted(one: Series) -> float:
    text = httpx.get(f"{one.server.url}/metrics", timeout=30, trust_env=False).raise_for_status().text
    found = histogram.read(text, DURATION, lambda labels: labels["route"] == PRICE and labels["status"] == "200")
    counted = found.count if found else 0.0
    # Each of wrk's runs ends with requests under way that it counts no longer.
    most = one.sent + SAMPLES + 2 * (len(one.windows) + 1) * CONNECTIONS
    return counted / one.sent if one.sent <= counted <= most else float("nan")


def _spans(one: Series, collector: Collector, key: str, wanted: int) -> float:
    trace_id = secrets.token_hex(16)
    headers = {"traceparent": f"00-{trace_id}-{secrets.token_hex(8)}-01", "authorization": f"Bearer {key}"}
    query = {"product_id": catalogue.HOT[0]}
    httpx.post(one.server.url + PRICE, json=query, headers=headers, timeout=30, trust_env=False).raise_for_status()
    with suppress(AssertionError):
        eventually(lambda: len(collector.trace(trace_id)) >= wanted, "the query's spans", deadline_s=10)
    return len(collector.trace(trace_id))
