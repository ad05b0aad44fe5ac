"""The one figure of `/metrics` that the checks look at."""

from collections.abc import Callable

import httpx

from tests.load import histogram
from tests.load.outcome import HTTP
from tests.support.waiting import eventually

QUERIES = 100
SCRAPES = 10
# So that any of the processes may answer.
A_CONNECTION_OF_ITS_OWN = {"connection": "close"}


def queries_counted(http: httpx.Client) -> int:
    """How many price queries the API has counted, whichever of its processes is asked."""
    response = http.get("/metrics", headers=A_CONNECTION_OF_ITS_OWN)
    found = histogram.read(response.text, HTTP, lambda labels: labels["route"] == "/api/v1/price")
    return found.count if found else 0


def all_are_counted(http: httpx.Client, product_id: str, is_enough: Callable[[int], bool]) -> str:
    """Ask over many connections, and see whether every scrape knows of all of them."""
    before = queries_counted(http)
    for _ in range(QUERIES):
        query = {"product_id": product_id}
        http.post("/api/v1/price", json=query, headers=A_CONNECTION_OF_ITS_OWN).raise_for_status()
    # A request is counted after its answer has been sent.
    eventually(lambda: is_enough(queries_counted(http) - before), f"{QUERIES} more queries counted")
    scrapes = [queries_counted(http) - before for _ in range(SCRAPES)]
    assert all(is_enough(counted) for counted in scrapes), f"{QUERIES} queries, counted in turn: {scrapes}"
    return f"{QUERIES} queries over as many connections, {scrapes[-1]} counted, in each of {SCRAPES} scrapes"


def settle(http: httpx.Client) -> None:
    """Wait until all queries of before are counted: a process brings its requests into the metrics together."""
    seen: list[int] = []

    def look() -> bool:
        seen.append(queries_counted(http))
        return seen[-3:] == [seen[-1]] * 3

    eventually(look, "nobody asks")
