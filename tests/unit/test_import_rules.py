"""The house keeps its order, as far as import-linter's contracts (pyproject.toml) cannot express it."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("api", "workers", "listener", "shared", "deploy")
COMPOSITION_ROOTS = ("api.services", "workers.services", "listener.__main__")


class Module(NamedTuple):
    """One file: its dotted name, what it imports, and its string constants."""

    name: str
    imports: frozenset[str]
    strings: tuple[str, ...]


class Rule(NamedTuple):
    """What `subject` names is imported only by the modules that `allowed` names; each name stands for its package."""

    subject: tuple[str, ...]
    allowed: tuple[str, ...]


ONLY = {
    "the database driver only in the catalogue, the translation of its errors and the wait for our own server": Rule(
        ("psycopg", "psycopg_pool"),
        (
            "shared.access.key_metrics",
            "shared.changes.webhook_metrics",
            "shared.catalogue.price_lists",
            "shared.commands",
            "shared.importing",
            "shared.jobs",
            "shared.prices",
            "shared.postgres",
            "shared.errors",
            "shared.addresses",
            "deploy.native",
        ),
    ),
    "migrations only in their folder": Rule(("alembic", "sqlalchemy"), ("shared.postgres.migrations",)),
    "redis only where commands are given, clients are made, or its errors are met": Rule(
        ("redis",),
        (
            "shared.cache",
            "shared.messaging",
            "shared.errors",
            "shared.addresses",
            "shared.access.rate_limits",
            *COMPOSITION_ROOTS,
            # These catch redis.RedisError: what is stored already, the sweep rings for later.
            "api.cache_sync",
            "api.event_intake",
            "api.plan_writes",
            "api.product_writes",
            "api.routes.recalculations",
            "api.routes.tasks",
            "listener.change_clock",
            "listener.epoch_watch",
            "listener.subscriber",
            "listener.sweep",
            # This waits for our own server.
            "deploy.native",
        ),
    ),
    "metrics only where they are declared, collected or served": Rule(
        ("prometheus_client",),
        (
            "shared.telemetry.metrics",
            "shared.telemetry.exposition",
            "shared.telemetry.heartbeats",
            "shared.telemetry.metrics_server",
            "shared.access.key_metrics",
            "shared.changes.webhook_metrics",
            "shared.jobs.backlog_metrics",
            "shared.market_events.signal_metrics",
            "shared.messaging.queue_metrics",
            "shared.prices.automation_metrics",
            "api.routes.health",
            "listener.__main__",
            # This reads what others serve.
            "deploy.status",
        ),
    ),
}

SQL = re.compile(r"\s*(SELECT|INSERT|UPDATE|DELETE|WITH|CREATE|ALTER|TRUNCATE|LOCK)\s+\S")
SQL_ALLOWED = (
    "shared.access",
    "shared.catalogue",
    "shared.changes",
    "shared.commands",
    "shared.importing",
    "shared.jobs",
    "shared.market_events",
    "shared.offers.revocations",
    "shared.plans",
    "shared.postgres",
    "shared.prices",
    "shared.rulebook",
    # Roles and the database itself, which precede every table.
    "deploy.native.postgres_roles",
    "deploy.backup",
)


@cache
def modules() -> tuple[Module, ...]:
    """All of our modules, read by the first test: whoever only collects the tests reads none."""
    return tuple(_read())


def _read() -> Iterator[Module]:
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            relative = path.relative_to(ROOT).with_suffix("")
            name = ".".join(relative.parts).removesuffix(".__init__")
            tree = ast.parse(path.read_text(encoding="utf-8"))
            yield Module(name, frozenset(imported(tree, name)), tuple(strings(tree)))


def imported(tree: ast.AST, name: str) -> Iterator[str]:
    """Dotted names; of `from a import b` both `a` and `a.b`, which may be a module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name} imports relatively"
            assert node.module
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def strings(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def is_in(name: str, packages: tuple[str, ...]) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def test_the_tree_is_found() -> None:
    found = {module.name for module in modules()}
    assert {"api.app", "workers.actors", "listener.sweep", "shared.pricing.quote", "deploy.native.stack"} <= found


@pytest.mark.parametrize("text", ONLY)
def test_imported_only_where_allowed(text: str) -> None:
    rule = ONLY[text]
    wrong = [
        f"{module.name} imports {name}"
        for module in modules()
        if not is_in(module.name, rule.allowed)
        for name in sorted(module.imports)
        if is_in(name, rule.subject)
    ]
    assert not wrong, text


@pytest.mark.parametrize("text", ONLY)
def test_no_permission_is_left_over(text: str) -> None:
    """Where nobody uses a permission any longer, the table shall say so."""
    rule = ONLY[text]
    unused = [
        allowed
        for allowed in rule.allowed
        if not any(
            is_in(module.name, (allowed,)) and any(is_in(name, rule.subject) for name in module.imports)
            for module in modules()
        )
    ]
    assert set(unused) <= {"listener.__main__"}, text


def test_the_price_is_computed_with_the_standard_library_and_msgspec_only() -> None:
    known = {*sys.stdlib_module_names, "msgspec"}
    foreign = [
        f"{module.name} imports {name}"
        for module in modules()
        if is_in(module.name, ("shared.pricing",))
        for name in sorted(module.imports)
        if not is_in(name, ("shared.pricing",)) and name != "shared" and name.split(".")[0] not in known
    ]
    assert not foreign


@pytest.mark.parametrize("name", ["time", "random", "secrets", "os", "socket", "logging", "pathlib", "asyncio"])
def test_the_price_knows_no_clock_no_dice_and_no_outside(name: str) -> None:
    assert not [m.name for m in modules() if is_in(m.name, ("shared.pricing",)) and is_in(name, tuple(m.imports))]


def test_sql_is_written_in_the_catalogue_only() -> None:
    wrong = [
        f"{module.name}: {text.strip()[:60]}"
        for module in modules()
        if not is_in(module.name, SQL_ALLOWED)
        for text in module.strings
        if SQL.match(text)
    ]
    assert not wrong


def test_importing_every_module_connects_to_nothing() -> None:
    """No client is made at import: no socket is open when all of them are imported."""
    names = [m.name for m in modules() if not m.name.endswith("__main__") and ".migrations." not in m.name]
    script = (
        "import importlib, psutil, sys\n"
        "for name in sys.argv[1:]: importlib.import_module(name)\n"
        "print([tuple(c) for c in psutil.Process().net_connections(kind='all')])\n"
    )
    done = subprocess.run([sys.executable, "-c", script, *names], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr
