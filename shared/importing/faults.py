"""Faults of a row: every column that cannot be imported, each with its reason."""

from collections.abc import Callable, Collection, Set

from shared.errors import InvalidInput

ROW = "row"


def described(first: InvalidInput, check: Callable[[Set[str]], object], groups: Collection[Set[str]] = ()) -> list[str]:
    """The column of the first fault, and the reasons of all faults in one text.

    A check ends at its first fault. The row is therefore checked again without the columns at fault, until it passes,
    or no further column is at fault.

    Args:
        first: The first fault.
        check: Checks the row without some columns; raises InvalidInput.
        groups: Columns that are checked together: with one of them the others are left out, too.
    """
    found: dict[str, InvalidInput] = {}
    without: set[str] = set()
    error: InvalidInput | None = first
    while error is not None and _column(error) not in without | found.keys():
        column = _column(error)
        found[column] = error
        without |= {column}.union(*(group for group in groups if column in group))
        error = None if column == ROW else _fault(check, without)
    named = [f"{_field(fault)}: {fault.reason}" for fault in found.values()]
    return [_field(first), "; ".join([first.reason, *named[1:]])]


def _fault(check: Callable[[Set[str]], object], without: Set[str]) -> InvalidInput | None:
    try:
        check(without)
    except InvalidInput as error:
        return error
    return None


def _field(error: InvalidInput) -> str:
    return error.path.removeprefix("$").strip(".") or ROW


def _column(error: InvalidInput) -> str:
    """The column at fault: `tiers` of `$.tiers[0].unit_price`."""
    return _field(error).partition(".")[0].partition("[")[0]
