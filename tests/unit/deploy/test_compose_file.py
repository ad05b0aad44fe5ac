"""The Compose file as it is parsed: who holds which secret."""

from pathlib import Path
from typing import Any

import yaml

FILE = Path(__file__).parents[3] / "compose.yaml"


def holders(name: str) -> set[str]:
    """The services that have a variable, or a file of variables."""
    services: dict[str, Any] = yaml.safe_load(FILE.read_text())["services"]
    assert services, "there are services"
    return {
        service
        for service, parts in services.items()
        if name in parts.get("environment", {}) or name in str(parts.get("command", "")) or "env_file" in parts
    }


def test_only_migrations_hold_the_admin_key() -> None:
    assert holders("PRICING_ADMIN_KEY") == {"migrate"}


def test_only_the_servers_hold_the_passwords_of_their_administrators() -> None:
    text = yaml.safe_load(FILE.read_text())["services"]
    with_superuser = {name for name, parts in text.items() if "POSTGRES_SUPERUSER_PASSWORD" in str(parts)}
    with_admin = {name for name, parts in text.items() if "{REDIS_PASSWORD" in str(parts)}
    assert (with_superuser, with_admin) == ({"postgres"}, {"redis"})


def test_only_the_api_holds_the_keys_of_offers() -> None:
    assert holders("PRICING_OFFER_KEYS") == {"api"}


def test_an_open_api_opens_no_page_without_a_login() -> None:
    services: dict[str, Any] = yaml.safe_load(FILE.read_text())["services"]
    published = {name: parts["ports"] for name, parts in services.items() if "ports" in parts}
    pages = {name for name, ports in published.items() if "${MONITORING_HOST:-127.0.0.1}:" in str(ports)}
    assert pages == {"jaeger", "prometheus", "grafana"}
    assert {name for name in published if "PRICING_HOST" in str(published[name])} == {"gateway"}
    assert set(published) == pages | {"gateway", "api"}
