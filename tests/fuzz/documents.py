"""Documents that are nearly right: JSON with one thing wrong, as bytes."""

import json
from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

Document = dict[str, Any]

# Written as they stand: no JSON library would write them.
TOKENS = (
    "NaN", "Infinity", "-Infinity", "-0", "-1", "0", "0.0000000000000000000001", "1e999999", "1e99999999999999999999",
    "99999999999999999999999999", "9" * 400, "1_0", "0x10", "01", "+1", "true", "null", "[]", "{}", '""', '" "',
    '"\\u0000"', '"\\ud800"', '"\\u001b[2J"', '"=1+1"', '"' + "x" * 5_000 + '"', "[" * 2_000, '{"a":' * 2_000, '"ß"',
    '"../../etc"', '"P-100\\n"', '"1999-13-45T99:99:99Z"', '"1e5"', "[[[[1]]]]", '["P-100"]', '{"product_id":"P-100"}',
)  # fmt: skip
BYTES = (b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b"\xc3", b"\r\n", b"\x1b", b"{", b"]", b",", b"\\")


def _written(value: object, tokens: dict[str, str]) -> str:
    """JSON, with each text that stands for a token replaced by it."""
    text = json.dumps(value)
    for name, token in tokens.items():
        text = text.replace(json.dumps(name), token)
    return text


@st.composite
def hostile(draw: DrawFn, examples: Sequence[Document]) -> bytes:
    """One of these documents with a few faults, or any bytes."""
    if draw(st.integers(0, 19)) == 0:
        return draw(st.binary(max_size=400))
    document = json.loads(json.dumps(draw(st.sampled_from(examples))))
    tokens: dict[str, str] = {}
    for number in range(draw(st.integers(0, 3))):
        _spoil(draw, document, f"token-{number}", tokens)
    return draw(_bytes_of(_written(document, tokens)))


def _spoil(draw: DrawFn, document: Document, name: str, tokens: dict[str, str]) -> None:
    """Change one field: its value, its name, or whether it is there."""
    inside = [each for each in document.values() if isinstance(each, dict) and each]
    target = draw(st.sampled_from([document, *inside]))
    if not target:
        return
    key = draw(st.sampled_from(sorted(target)))
    match draw(st.integers(0, 4)):
        case 0:
            del target[key]
        case 1:
            target[draw(st.text(max_size=8))] = target[key]
        case 2:
            target[key] = draw(st.text(max_size=80))
        case _:
            tokens[name] = draw(st.sampled_from(TOKENS))
            target[key] = name


def _bytes_of(text: str) -> SearchStrategy[bytes]:
    whole = text.encode("utf-8", "surrogatepass")
    positions = st.integers(0, len(whole))
    ways: list[SearchStrategy[bytes]] = [
        positions.map(lambda at: whole[:at]),
        st.tuples(positions, st.sampled_from(BYTES)).map(lambda at: whole[: at[0]] + at[1] + whole[at[0] :]),
        st.sampled_from([whole + whole, b" \n" + whole, text.encode("utf-16", "surrogatepass")]),
    ]
    return st.one_of(st.just(whole), st.just(whole), st.just(whole), *ways)
