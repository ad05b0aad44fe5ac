"""The pages of the console, in the order of its navigation, each with the scope that it needs."""

from typing import NamedTuple

from api.http.answers import CONSOLE_PATH
from shared.access import scopes
from shared.access.keys import LiveKey
from shared.access.scopes import Scope


class Entry(NamedTuple):
    """One page of the navigation; `key` is pressed behind `g`."""

    path: str
    title: str
    scope: Scope
    key: str


PAGES = (
    Entry(CONSOLE_PATH, "Overview", "catalogue:read", "o"),
    Entry(f"{CONSOLE_PATH}/products", "Products", "catalogue:read", "p"),
    Entry(f"{CONSOLE_PATH}/rules", "Rules", "catalogue:read", "r"),
    Entry(f"{CONSOLE_PATH}/plans", "Plans", "catalogue:read", "l"),
    Entry(f"{CONSOLE_PATH}/holds", "Holds", "catalogue:read", "h"),
    Entry(f"{CONSOLE_PATH}/events", "Events", "catalogue:read", "e"),
    Entry(f"{CONSOLE_PATH}/jobs", "Jobs", "catalogue:read", "j"),
    Entry(f"{CONSOLE_PATH}/try", "Try it", "catalogue:read", "t"),
    Entry(f"{CONSOLE_PATH}/access", "Access", "admin", "a"),
)


def of(key: LiveKey) -> list[Entry]:
    """The pages that a key may see."""
    return [entry for entry in PAGES if scopes.allow(key.scopes, entry.scope)]


def path_of(title: str) -> str:
    """The path of the page with this title; empty where there is none."""
    return next((entry.path for entry in PAGES if entry.title == title), "")


def current(path: str) -> str:
    """The path of the entry that a page belongs to."""
    fitting = [
        entry.path
        for entry in PAGES
        if path == entry.path or (path.startswith(f"{entry.path}/") and entry.path != CONSOLE_PATH)
    ]
    return max(fitting, key=len, default="")
