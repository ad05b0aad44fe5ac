"""`just status`: servers, processes and waiting work, from the engine's own endpoints."""

from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from typing import Any

import click
import httpx
from prometheus_client.parser import text_string_to_metric_families
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from shared.printable import printable

TIMEOUT_S = 5
QUEUES = ("events", "tasks")
GOOD, WARN, BAD = "green", "yellow", "bold red"
WELL = {"up", "ready"}

Figures = Mapping[tuple[str, str], float]


class StatusReport:
    """The readiness and the metrics of a running engine at one moment."""

    def __init__(
        self, api_url: str, scrapes: Mapping[str, Callable[[], str]], headers: Mapping[str, str] | None = None
    ) -> None:
        """Read the endpoints once.

        Args:
            api_url: The address of the API.
            scrapes: Functions that return the metrics of the reachable process groups; they raise errors of click
                or httpx.
            headers: The header with the admin key, which shows the versions of the servers.
        """
        self._ready = _read_json(f"{api_url}/health/ready", headers or {})
        self._figures = {group: _figures(scrape) for group, scrape in scrapes.items()}

    @property
    def is_well(self) -> bool:
        """Whether the API is ready."""
        return bool(self._ready.get("status") == "ready")

    def drawn(self) -> RenderableType:
        """Tables for a terminal."""
        return Group(self._servers(), self._queues(), *self._notes())

    def _servers(self) -> Table:
        table = Table("", "state", "version", "")
        table.add_row("prices", *_server_cells(self._ready))
        for name, seen in self._ready.get("dependencies", {}).items():
            table.add_row(_plain(name), *_server_cells(seen))
        for group, figures in self._figures.items():
            count = sum(value for (name, _), value in figures.items() if name == "pricing_processes")
            table.add_row(f"{group} processes", _state("up" if count else "down"), "", f"{count:.0f}")
        return table

    def _queues(self) -> Table:
        figures = self._figures.get("listener", {})
        table = Table("queue", "waiting", "oldest", "failed", "messages: due", "delayed")
        for queue in QUEUES:
            depth, age, dead = (
                figures.get((f"pricing_{name}", queue))
                for name in ("queue_depth", "queue_oldest_age_seconds", "dead_letters")
            )
            messages = [figures.get(("pricing_messages", f"{queue} {state}")) for state in ("due", "delayed")]
            oldest = "" if not age else str(timedelta(seconds=round(age)))
            table.add_row(queue, _count(depth), oldest, _count(dead, BAD if dead else ""), *map(_count, messages))
        return table

    def _notes(self) -> Iterator[Text]:
        figures = self._figures.get("listener", {})
        if figures and not figures.get(("pricing_market_events_subscription_up", "")):
            yield Text("The listener is not subscribed to market_events.", BAD)
        former = [key_id for name, key_id in figures if name == "pricing_former_admin_key"]
        if former:
            ids = ", ".join(printable(key_id) for key_id in sorted(former, key=lambda found: (len(found), found)))
            yield Text(f"Admin keys of former starts still work: {ids}. `just keys revoke ID` ends one.", WARN)
        if run_s := figures.get(("pricing_last_run_duration_seconds", "")):
            products = figures[("pricing_last_run_products", "")]
            yield Text(
                f"last recalculation: {products:,.0f} products in {run_s:.1f} s, {products / run_s:,.0f} a second"
            )


def _read_json(url: str, headers: Mapping[str, str]) -> dict[str, Any]:
    try:
        answer: dict[str, Any] = httpx.get(url, headers=dict(headers), timeout=TIMEOUT_S, trust_env=False).json()
    except (httpx.HTTPError, ValueError) as error:
        return {"status": "down", "error": f"{url}: {error}"}
    return answer


def _figures(scrape: Callable[[], str]) -> Figures:
    """Samples by name and label values, in the order of the labels' names; none where the scrape fails."""
    try:
        families = list(text_string_to_metric_families(scrape()))
    except (click.ClickException, httpx.HTTPError, ValueError):
        return {}
    samples = [sample for family in families for sample in family.samples]
    return {
        (sample.name, " ".join(value for _, value in sorted(sample.labels.items()))): sample.value for sample in samples
    }


def _server_cells(seen: Mapping[str, Any]) -> tuple[Text, Text, Text]:
    return _state(seen["status"]), _plain(seen.get("version", "")), _plain(seen.get("error", ""))


def _plain(text: str) -> Text:
    return Text(printable(text))


def _state(state: str) -> Text:
    return Text(printable(state), GOOD if state in WELL else BAD)


def _count(value: float | None, style: str = "") -> Text:
    return Text("?" if value is None else f"{value:,.0f}", style)
