"""Foreign text, made safe for terminals and log lines."""


def printable(text: str, keep: str = "") -> str:
    r"""The text with a JSON escape, such as `\u001b`, for each character that moves a cursor, colours or reorders.

    Args:
        text: Any text, lone surrogates included.
        keep: Characters that are not escaped, such as line breaks.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in keep else _escaped(c) for c in text)


def indented(text: str) -> str:
    """Foreign text, such as a traceback, with indented lines: none of them can be mistaken for an engine's line."""
    return "".join(f"  {printable(line)}\n" for line in text.splitlines())


def _escaped(character: str) -> str:
    return "".join(
        rf"\u{high:02x}{low:02x}"
        for high, low in zip(*[iter(character.encode("utf-16-be", "surrogatepass"))] * 2, strict=True)
    )
