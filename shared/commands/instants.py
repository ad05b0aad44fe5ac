"""Instants as options of commands."""

from datetime import UTC, datetime

import click

from shared.printable import printable


class _Instant(click.ParamType[datetime]):
    name = "instant"

    def convert(self, value: object, param: click.Parameter | None, context: click.Context | None) -> datetime:
        """The instant of a text in ISO 8601; without an offset it is in UTC."""
        if isinstance(value, datetime):
            return value
        try:
            found = datetime.fromisoformat(str(value))
        except ValueError:
            self.fail(printable(f"{str(value)!r} is no instant such as 2026-11-27T09:00Z"), param, context)
        return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


INSTANT = _Instant()
