"""The checks of text fields, for `__post_init__`."""


def clean_text(field: str, text: str | None) -> None:
    """Raise ValueError, with the field's name first, for a text with NUL or with a line break at its end.

    `$` in a pattern also matches before a last line break, and PostgreSQL cannot store NUL.
    """
    if text is not None and ("\0" in text or text.endswith("\n")):
        raise ValueError(f"`{field}` must not contain NUL or end in a line break")


def clean_id(field: str, text: str) -> None:
    """Raise ValueError, with the field's name first, unless a text is printable and has no blanks at its ends."""
    if not text.isprintable() or text[:1] == " " or text[-1:] == " ":
        raise ValueError(f"`{field}` must be printable text without blanks at its ends, not {text[:40]!r}")
