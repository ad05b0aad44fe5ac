"""Scopes: what a key may do."""

from collections.abc import Collection
from typing import Literal, get_args

Scope = Literal[
    "prices:read",
    "catalogue:read",
    "catalogue:write",
    "events:write",
    "rules:write",
    "operate",
    "admin",
]
SCOPES: tuple[Scope, ...] = get_args(Scope)
ALL: Scope = "admin"


def allow(scopes: Collection[str], needed: Scope) -> bool:
    """Whether a key with these scopes may do what needs a scope; `admin` may do everything."""
    return needed in scopes or ALL in scopes
