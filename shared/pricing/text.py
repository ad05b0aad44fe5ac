"""The check of a text field, for `__post_init__`."""


def clean_text(field: str, text: str | None) -> None:
    """Raise ValueError, with the field's name first, for a text with NUL or with a line break at its end.

    `$` in a pattern also matches before a last line break, and PostgreSQL cannot store NUL.
    """
    if text is not None and ("\0" in text or text.endswith("\n")):
        raise ValueError(f"`{field}` must not contain NUL or end in a line break")
