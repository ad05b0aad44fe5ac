"""The audit log, for administrators."""

from datetime import datetime
from typing import Annotated

import msgspec
from litestar import Router, get
from litestar.params import Parameter
from msgspec import Meta

from api.edge.identity import needs
from api.http import cursors
from api.http.problems import documented
from api.routes.lists import Cursor, Limit, Next
from api.services import Services
from shared.access import audit, keys
from shared.access.audit import EntryView, Filter
from shared.errors import InvalidInput

INSTANT = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)$"


class AuditPage(msgspec.Struct, frozen=True):
    """A page of the audit log."""

    items: Annotated[list[EntryView], Meta(description="Newest first")]
    next: Next


@get(
    "/audit-log",
    guards=[needs("admin")],
    security=[{"key": ["admin"]}],
    sync_to_thread=True,
    operation_id="listAuditLog",
    responses=documented(401, 403, 422, 503),
    summary="Writes, with their keys and outcomes",
    description="Every write with a live key, also a refused one, and every command of `just` that wrote something. "
    "Entries are kept for `PRICING_AUDIT_DAYS` days, rounded up to whole months.",
)
def list_audit_log(
    services: Services,
    limit: Limit = 100,
    cursor: Cursor = None,
    key_id: Annotated[int | None, Parameter(ge=1, le=keys.LARGEST_ID, description="Only writes by this key")] = None,
    since: Annotated[
        str | None, Parameter(pattern=INSTANT, description="Only entries from this time on, with UTC offset")
    ] = None,
    until: Annotated[
        str | None, Parameter(pattern=INSTANT, description="Only entries before this time, with UTC offset")
    ] = None,
) -> AuditPage:
    """List entries."""
    period = instant("since", since), instant("until", until)
    before: keys.Position | None = cursors.decode(cursor, keys.Position)
    with services.transaction() as conn:
        items, last = cursors.split(audit.listed(conn, Filter(key_id, *period), limit + 1, before), limit)
    return AuditPage(items, cursors.encode(last.id) if last else None)


def instant(name: str, text: str | None) -> datetime | None:
    """The time in a query parameter. Litestar itself would also take a number, of seconds since 1970."""
    try:
        return datetime.fromisoformat(text) if text is not None else None
    except ValueError:
        raise InvalidInput("is no time such as 2026-01-31T12:00:00Z", f"$.{name}") from None


router = Router("/api/v1", route_handlers=[list_audit_log], tags=["Keys"])
