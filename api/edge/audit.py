"""The audit log of writes over HTTP: a write's row is stored before its answer is sent."""

from collections.abc import Callable
from typing import Any

from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send

from api.http.answers import READ_PATHS
from shared.access import audit
from shared.access.audit import Entry
from shared.access.audit_log import AuditLog
from shared.access.keys import LiveKey
from shared.telemetry.tracing import current_trace_id

WRITES = ("POST", "PUT", "PATCH", "DELETE")


class Audit:
    """Wraps the application: each write with a live key is recorded with its status, also a refused one."""

    def __init__(self, app: ASGIApp, audit_log: Callable[[], AuditLog]) -> None:
        """An audit.

        Args:
            app: The application that answers the requests.
            audit_log: Returns the process's audit log, once the application has started.
        """
        self._app, self._audit_log = app, audit_log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        if scope["type"] != ScopeType.HTTP or scope["method"] not in WRITES or scope["path"] in READ_PATHS:
            await self._app(scope, receive, send)
            return
        request = audit.shortened(f"{scope['method']} {scope['path']}")
        is_recorded = False

        async def recording_send(message: Message) -> None:
            nonlocal is_recorded
            if message["type"] == "http.response.start":
                is_recorded = True
                await self._record(scope, request, str(message["status"]))
            await send(message)

        try:
            await self._app(scope, receive, recording_send)
        finally:
            if not is_recorded:
                await self._record(scope, request, audit.NO_ANSWER, wait_s=0)

    async def _record(self, scope: HTTPScope, request: str, outcome: str, **options: Any) -> None:
        # A guard puts it there. A request without a live key writes nothing and is not recorded.
        caller: LiveKey | None = scope.get("user")
        if caller is not None:
            entry = Entry(
                key_id=caller.id,
                key_name=caller.name,
                request=request,
                outcome=outcome,
                trace_id=current_trace_id(),
            )
            await self._audit_log().record(entry, **options)
