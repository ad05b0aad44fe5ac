"""Cells that a spreadsheet program would run as a formula, and the apostrophe that prevents it.

A cell that starts with = + - @, their wide forms, a tab or a line break gets an apostrophe in front. A cell with
apostrophes before such a character gets one more. Removing one apostrophe thus restores every cell exactly.
https://owasp.org/www-community/attacks/CSV_Injection
"""

import re

_STARTS = r"[=+@\t\r\n＝＋－＠-]"  # spreadsheet programs also run the wide forms

# For PostgreSQL's `~`.
FORMULA = f"^'*{_STARTS}"


def protected(cell: str) -> str:
    """The cell with an apostrophe in front where a spreadsheet program would run it."""
    return f"'{cell}" if _RUN(cell) else cell


def unprotected(cell: str) -> str:
    """The cell without the apostrophe that an export for spreadsheets has added."""
    return cell[1:] if _PROTECTED(cell) else cell


_RUN = re.compile(FORMULA).match
_PROTECTED = re.compile(f"'+{_STARTS}").match
