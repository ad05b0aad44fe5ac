"""The guards: only the bearer of a live key with the right scope passes."""

import asyncio
from contextlib import AbstractContextManager
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from api.edge.identity import Guard, metrics_are_open, needs, prices_are_open, sees_costs
from shared.access import keys
from shared.access.keys import LiveKey
from shared.access.known import KnownKeys
from shared.access.scopes import SCOPES, Scope
from shared.errors import Forbidden, Unauthorized
from shared.postgres import pools
from shared.postgres.pools import Pool
from shared.settings import Settings


def created(pool: Pool, *scopes: Scope) -> str:
    with pool.connection() as conn:
        return keys.create(conn, "shop", scopes, "just")[1]


def connection(settings: Settings, known: KnownKeys | None, **headers: str) -> Any:
    state = SimpleNamespace(services=SimpleNamespace(keys=known, settings=settings))
    return SimpleNamespace(headers=headers, scope={}, app=SimpleNamespace(state=state))


def pass_guard(settings: Settings, guard: Guard, header: str, **changed: bool) -> LiveKey | None:
    """Pass a guard as a request with this header; the caller that the handler finds."""

    async def attempt() -> LiveKey | None:
        async with pools.read_pool(settings, "tests", size=1) as database:
            asked = connection(msgspec.structs.replace(settings, **changed), KnownKeys(database), authorization=header)
            await guard(asked, cast(Any, None))
            return cast(LiveKey | None, asked.scope.get("user"))

    return asyncio.run(attempt())


def refused(hint: str) -> AbstractContextManager[object]:
    return pytest.raises(Unauthorized, match=hint)


@pytest.mark.parametrize("header", ["Bearer {}", "bearer {}", "BEARER  {} "])
def test_the_bearer_of_a_live_key_passes_and_is_known_to_the_handler(
    settings: Settings, pool: Pool, header: str
) -> None:
    key = created(pool, "operate")
    caller = pass_guard(settings, needs("operate"), header.format(key))
    assert caller is not None
    assert caller.name == "shop"
    with refused("not known"):
        pass_guard(settings, needs("operate"), header.format(f"{key}x"))


@pytest.mark.parametrize("needed", SCOPES)
@pytest.mark.parametrize("scope", SCOPES)
def test_a_key_does_only_what_its_scope_allows(settings: Settings, pool: Pool, scope: Scope, needed: Scope) -> None:
    header = f"Bearer {created(pool, scope)}"
    if scope in (needed, "admin"):
        assert pass_guard(settings, needs(needed), header)
        return
    with pytest.raises(Forbidden, match=f"this needs the scope {needed}; the key 'shop' has {scope}"):
        pass_guard(settings, needs(needed), header)


def test_two_scopes_allow_both(settings: Settings, pool: Pool) -> None:
    header = f"Bearer {created(pool, 'prices:read', 'events:write')}"
    assert pass_guard(settings, needs("prices:read"), header) == pass_guard(settings, needs("events:write"), header)


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer ", "Basic a2V5", "key", "Bearer\tkey"])
def test_a_request_without_a_bearer_is_refused_before_the_keys_are_read(settings: Settings, header: str | None) -> None:
    headers = {} if header is None else {"authorization": header}
    with refused("`just key` prints one"):
        asyncio.run(needs("operate")(connection(settings, None, **headers), cast(Any, None)))


@pytest.mark.parametrize(
    ("guard", "setting"), [(prices_are_open, "require_read_key"), (metrics_are_open, "require_metrics_key")]
)
def test_open_reads_need_a_key_only_where_the_setting_says_so(
    settings: Settings, pool: Pool, guard: Guard, setting: str
) -> None:
    assert pass_guard(settings, guard, "") is None
    with refused("`just key` prints one"):
        pass_guard(settings, guard, "", **{setting: True})
    assert pass_guard(settings, guard, f"Bearer {created(pool, 'prices:read')}", **{setting: True})


def test_metrics_need_any_key_and_prices_need_their_scope(settings: Settings, pool: Pool) -> None:
    header = f"Bearer {created(pool, 'events:write')}"
    assert pass_guard(settings, metrics_are_open, header, require_metrics_key=True)
    with pytest.raises(Forbidden, match="prices:read"):
        pass_guard(settings, prices_are_open, header, require_read_key=True)


def test_costs_are_for_keys_that_may_read_the_catalogue(settings: Settings, pool: Pool) -> None:
    async def sees(header: str | None) -> bool:
        headers = {} if header is None else {"authorization": header}
        async with pools.read_pool(settings, "tests", size=1) as database:
            return await sees_costs(connection(settings, KnownKeys(database), **headers))

    assert not asyncio.run(sees(None))
    assert not asyncio.run(sees(f"Bearer {created(pool, 'prices:read')}"))
    assert asyncio.run(sees(f"Bearer {created(pool, 'catalogue:read')}"))
    with refused("not known"):
        asyncio.run(sees("Bearer nobody"))
