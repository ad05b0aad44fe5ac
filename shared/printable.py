"""Text from outside, as terminals and log lines may show it."""


def printable(text: str, keep: str = "") -> str:
    r"""The text with every character that could move a cursor, colour or reorder as its JSON escape: `\u001b`.

    Args:
        text: Any text, lone surrogates included.
        keep: Characters that stay, such as line breaks.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in keep else _escaped(c) for c in text)


def indented(text: str) -> str:
    """Lines of foreign text, such as a traceback: indented, so that none passes for a line of ours."""
    return "".join(f"  {printable(line)}\n" for line in text.splitlines())


def _escaped(character: str) -> str:
    return "".join(
        rf"\u{high:02x}{low:02x}"
        for high, low in zip(*[iter(character.encode("utf-16-be", "surrogatepass"))] * 2, strict=True)
    )
