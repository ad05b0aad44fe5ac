"""The Compose file as it is parsed: who holds which secret."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from msgspec.structs import fields

from shared.settings import Settings

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


# Compose's own addresses, ports, files and secrets; its API speaks no TLS.
FIXED = {
    *("PRICING_HOME", "PRICING_HOST", "PRICING_PORT", "PRICING_TLS_CERTIFICATE", "PRICING_TLS_KEY"),
    *("PRICING_DATABASE_URL", "PRICING_DATABASE_POOLER", "PRICING_DATABASE_DIRECT_URL"),
    *("PRICING_REDIS_URL", "PRICING_CACHE_URL", "PRICING_EVENTS_URL", "PRICING_BROKER_URL"),
    *("PRICING_WORKER_METRICS_PORT", "PRICING_LISTENER_METRICS_PORT", "PRICING_ADMIN_KEY", "PRICING_OFFER_KEYS"),
}


@pytest.mark.parametrize("service", ["migrate", "api", "worker", "listener"])
def test_every_other_setting_is_passed_on_where_it_is_set(service: str) -> None:
    environment: dict[str, str | None] = yaml.safe_load(FILE.read_text())["services"][service]["environment"]
    passed_on = {name for name, value in environment.items() if value is None}
    assert passed_on == {field.encode_name for field in fields(Settings)} - FIXED
