"""Entity tags, and the conditions of writes."""

from contextlib import nullcontext

import pytest
from litestar.exceptions import HTTPException

from api.http import etags

TAG, OTHER = etags.tag_of({"version": 7}), etags.tag_of({"version": 8})


def test_a_tag_stands_for_the_content() -> None:
    assert etags.tag_of({"version": 7}) == TAG != OTHER
    assert (TAG[0], TAG[-1], len(TAG)) == ('"', '"', 18)


@pytest.mark.parametrize(
    ("if_match", "if_none_match", "current", "passes"),
    [
        (None, None, None, True),
        (None, None, TAG, True),
        (TAG, None, TAG, True),
        (f'"x", {TAG}', None, TAG, True),
        ("*", None, TAG, True),
        (" * ", None, TAG, True),
        (OTHER, None, TAG, False),
        (f"W/{TAG}", None, TAG, False),
        ("", None, TAG, False),
        ("nonsense", None, TAG, False),
        (TAG.strip('"'), None, TAG, False),
        (TAG, None, None, False),
        ("*", None, None, False),
        (None, "*", None, True),
        (None, "*", TAG, False),
        (None, TAG, TAG, False),
        (None, f"W/{TAG}", TAG, False),
        (None, OTHER, TAG, True),
        (TAG, OTHER, TAG, True),
    ],
)
def test_a_write_whose_condition_is_false_is_refused(
    if_match: str | None, if_none_match: str | None, current: str | None, passes: bool
) -> None:
    with nullcontext() if passes else pytest.raises(HTTPException, match="412"):
        etags.check_write(if_match, if_none_match, current)
