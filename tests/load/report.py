"""A run's figures, for people and for programs."""

import math
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from rich import box
from rich.console import Console, Group
from rich.table import Table

from tests.load.judge import Judgement, Verdict
from tests.load.outcome import Kind, Outcome, Side

STYLES = {Verdict.WITHIN: "green", Verdict.BEYOND: "red", Verdict.INCONCLUSIVE: "yellow"}
WIDTH = 120  # of what is not a terminal


def console() -> Console:
    """Where all is printed."""
    found = Console(highlight=False)
    return found if found.is_terminal else Console(highlight=False, width=WIDTH)


def table(found: Outcome) -> Group:
    """The whole run: a line for each kind of request, times in ms, the limits with their verdicts."""
    rows = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    rows.add_column("", no_wrap=True)
    columns = (
        "requests",
        "failed",
        "client: P50",
        "P95",
        "P99",
        "server: P50",
        "P95",
        "P99",
        "limit of P95",
        "verdict",
    )
    for column in columns:
        rows.add_column(column, justify="left" if column == "verdict" else "right", no_wrap=True)
    for kind in found.kinds:
        limit = "" if kind.limit_s is None else f"< {kind.limit_s * 1000:g}"
        verdict = _styled(kind.judgement.verdict) if kind.judgement else ""
        counts = (f"{kind.requests:,}", f"{kind.failures:,}")
        rows.add_row(kind.name, *counts, *_times(kind.client), *_times(kind.server), limit, verdict)
    return Group(rows, *_conclusions(found))


def as_json(found: Outcome) -> dict[str, Any]:
    """The same as JSON; times in seconds, null where there are none."""
    return {
        "verdict": found.verdict,
        "failures": asdict(found.failures),
        "kinds": [_kind_as_json(kind) for kind in found.kinds],
    }


def _conclusions(found: Outcome) -> Iterator[str]:
    judged: dict[str, Judgement] = {kind.name: kind.judgement for kind in found.kinds if kind.judgement}
    for name, judgement in (judged | {"no failures": found.failures}).items():
        if judgement.reason:
            yield f"{name}: {_styled(judgement.verdict)}, {judgement.reason}"
    yield f"limits: {_styled(found.verdict)}"


def _times(side: Side | None) -> Iterator[str]:
    for value in asdict(side).values() if side else ("", "", ""):
        yield value if isinstance(value, str) else "–" if math.isnan(value) else f"{value * 1000:.1f}"


def _styled(verdict: Verdict) -> str:
    return f"[{STYLES[verdict]}]{verdict}[/]"


def _kind_as_json(kind: Kind) -> dict[str, Any]:
    fields = asdict(kind)
    for side in ("client", "server"):
        if fields[side]:
            fields[side] = {name: None if math.isnan(s) else round(s, 6) for name, s in fields[side].items()}
    return fields
