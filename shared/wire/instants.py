"""Instants from callers: PostgreSQL keeps later ones than Python can read."""

from datetime import UTC, datetime


def check(field: str, instant: datetime | None) -> None:
    """Raise ValueError unless the instant has a UTC offset and is in the years 1 to 9999 in UTC; None passes.

    The text starts with the field in backticks.
    """
    if instant is None:
        return
    if instant.tzinfo is None:
        raise ValueError(f"`{field}` needs a UTC offset, as in 2026-01-31T12:00:00Z")
    try:
        instant.astimezone(UTC)
    except OverflowError:
        raise ValueError(f"`{field}` must be in the years 1 to 9999 in UTC") from None
