"""A caller's address comes from its connection, and from a header only where a trusted proxy sent it."""

from typing import Any, cast

import pytest

from api.edge.callers import Callers
from shared.addresses import networks

PROXY, INNER, CLIENT = "10.0.0.5", "172.16.3.4", "203.0.113.9"
CALLERS = Callers(networks("10.0.0.5, 172.16.0.0/12, 2001:db8:1::/48"))


def address(peer: str, callers: Callers = CALLERS, **headers: str) -> str:
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return str(callers.address(cast(Any, {"client": (peer, 4711), "headers": raw})))


def test_a_stranger_cannot_choose_its_address() -> None:
    assert address(CLIENT, x_forwarded_for="127.0.0.1", forwarded="for=127.0.0.1") == CLIENT
    assert address(PROXY, Callers([]), x_forwarded_for=CLIENT) == PROXY


@pytest.mark.parametrize(
    "told",
    [
        CLIENT,
        f"127.0.0.1, {CLIENT}",
        f"{CLIENT}, {INNER}",
        f"127.0.0.1,{CLIENT}, {INNER} , {PROXY}",
        f"{CLIENT}:5000",
    ],
)
def test_of_the_hops_the_last_one_that_is_no_proxy_counts(told: str) -> None:
    assert address(PROXY, x_forwarded_for=told) == CLIENT


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (f"for={CLIENT}", CLIENT),
        (f'For="{CLIENT}:5000";proto=https;by={PROXY}', CLIENT),
        (f"for=127.0.0.1, for={CLIENT}, for={INNER}", CLIENT),
        ('for="[2001:db8:2::7]:4711"', "2001:db8:2::7"),
        ("for=unknown", PROXY),
        ("for=_hidden", PROXY),
        ("proto=https", PROXY),
    ],
)
def test_forwarded_is_read_as_rfc_7239_has_it(told: str, expected: str) -> None:
    assert address(PROXY, forwarded=told) == expected


@pytest.mark.parametrize("told", ["", ",", "nonsense", "1.2.3", f"{CLIENT}, nonsense", INNER])
def test_a_header_that_names_no_stranger_leaves_the_proxys_address(told: str) -> None:
    assert address(PROXY, x_forwarded_for=told) == PROXY


def test_headers_that_disagree_leave_the_proxys_address() -> None:
    assert address(PROXY, x_forwarded_for=CLIENT, forwarded="for=127.0.0.1") == PROXY
    assert address(PROXY, x_forwarded_for=CLIENT, forwarded=f"for={CLIENT}") == CLIENT


def test_an_ipv4_address_within_ipv6_is_the_ipv4_address() -> None:
    assert address(f"::ffff:{PROXY}", x_forwarded_for=f"::ffff:{CLIENT}") == CLIENT


def test_a_connection_without_an_address_has_none() -> None:
    assert CALLERS.address(cast(Any, {"client": None, "headers": []})) is None
