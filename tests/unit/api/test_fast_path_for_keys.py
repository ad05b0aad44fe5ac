"""The fast path where price queries need a key: it takes only the queries of keys that may read prices."""

from typing import Any, cast

import pytest

from api.edge.fast_path import FastPathForKeys
from api.http.answers import PRICE_PATH
from api.services import Services
from shared.access.keys import LiveKey

KNOWN = {
    "reads": LiveKey(1, "shop", frozenset({"prices:read"}), ""),
    "admin": LiveKey(2, "admin", frozenset({"admin"}), ""),
    "writes": LiveKey(3, "crawler", frozenset({"events:write", "catalogue:read"}), ""),
}


class Known:
    """The keys of a process."""

    def held(self, key: str) -> LiveKey | None:
        return KNOWN.get(key)


class Running:
    """The services that it reads."""

    keys = Known()


@pytest.mark.parametrize(
    ("authorization", "is_taken"),
    [
        ([b"Bearer reads"], True),
        ([b"bearer admin"], True),
        ([b"Bearer writes"], False),
        ([b"Bearer nobody"], False),
        ([b"Bearer \xff"], False),
        ([b"reads"], False),
        ([b""], False),
        ([], False),
        ([b"Bearer nobody", b"Bearer reads"], False),
    ],
)
def test_it_takes_only_queries_of_keys_that_may_read_prices(authorization: list[bytes], is_taken: bool) -> None:
    headers = [(b"content-type", b"application/json"), *((b"authorization", value) for value in authorization)]
    scope: Any = {"type": "http", "path": PRICE_PATH, "method": "POST", "query_string": b"", "headers": headers}
    assert FastPathForKeys(lambda: cast(Services, Running())).takes(scope) is is_taken


def test_other_paths_need_no_services() -> None:
    scope: Any = {"type": "lifespan"}
    assert not FastPathForKeys(lambda: pytest.fail("not needed")).takes(scope)
