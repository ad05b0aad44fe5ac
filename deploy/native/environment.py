"""The environment of the programs, stored in `stack.env`: the caller's settings and the stack's own addresses."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from deploy.errors import StackError
from deploy.home import ENV_FILE, write_private
from deploy.native import programs
from deploy.native.state import State
from deploy.offer_keys import OFFER_KEYS
from shared import settings as app_settings

ADMIN_KEY = "PRICING_ADMIN_KEY"


def given(env: Mapping[str, str], state: State) -> dict[str, str]:
    """The settings that the caller chose; the addresses of the stack's own servers do not count as a choice.

    Raises:
        StackError: a value has more than one line, which `stack.env` cannot hold.
    """
    own = {
        state.database_url,
        state.redis_url(0),
        state.redis_url(1),
        state.redis_admin_url(0),
        state.redis_admin_url(1),
    }
    values = {name: value for name, value in env.items() if _is_setting(name, value) and value not in own}
    if broken := [name for name, value in values.items() if len(value.splitlines()) > 1]:
        raise StackError(f"{broken[0]} must be one line.")
    return values


def available(choice: Mapping[str, str], env: Mapping[str, str]) -> tuple[str, ...]:
    """The programs of the stack, without servers that the caller provides or that are not installed."""
    left_out = {
        "postgres": "PRICING_DATABASE_URL" in choice,
        "redis": "PRICING_REDIS_URL" in choice,
        "jaeger": programs.jaeger(env) is None,
    }
    return tuple(name for name in programs.NAMES if not left_out.get(name))


def compose(choice: Mapping[str, str], state: State) -> dict[str, str]:
    """The settings of all programs of the stack; the caller's choices come first."""
    values = {
        "PRICING_PORT": "8000",
        "PRICING_WORKER_METRICS_PORT": "9191",
        "PRICING_LISTENER_METRICS_PORT": "9192",
        "PRICING_DATABASE_URL": state.database_url,
        OFFER_KEYS: state.offer_keys,
    }
    if "redis" in state.programs:
        values |= {"PRICING_REDIS_URL": state.redis_url(0), "PRICING_BROKER_URL": state.redis_url(1)}
    if "jaeger" in state.programs:
        values["OTEL_EXPORTER_OTLP_ENDPOINT"] = programs.JAEGER_OTLP
    return values | dict(choice)


def settings_of(home: Path, values: Mapping[str, str]) -> app_settings.Settings:
    """The application's settings from these values alone.

    Raises:
        StackError: a value is invalid; the text names the variable.
    """
    ours = {name: value for name, value in values.items() if name.startswith("PRICING_")}
    no_stack_file = str(home / "none")
    try:
        return app_settings.load({**ours, "PRICING_HOME": no_stack_file})
    except app_settings.InvalidSettings as error:
        raise StackError(f"{error}.") from error


def save(home: Path, values: Mapping[str, str]) -> None:
    """Write `stack.env`, one `NAME=value` a line, with mode 0600; the programs need no admin key."""
    kept = {name: value for name, value in values.items() if name != ADMIN_KEY}
    write_private(home / ENV_FILE, "".join(f"{name}={value}\n" for name, value in kept.items()))


def load(home: Path) -> dict[str, str]:
    """The values in `stack.env`; none where there is no such file."""
    try:
        lines = (home / ENV_FILE).read_text().splitlines()
    except FileNotFoundError:
        return {}
    return {name: value for name, _, value in (line.partition("=") for line in lines)}


def of_programs(home: Path, env: Mapping[str, str], values: Mapping[str, str]) -> dict[str, str]:
    """The machine's environment, with exactly these settings."""
    machine = {name: value for name, value in env.items() if not _is_setting(name, value)}
    return {**machine, **values, "PRICING_HOME": str(home), "PYTHONUNBUFFERED": "1"}


def ports_to_take(names: Sequence[str], settings: app_settings.Settings) -> dict[str, int]:
    """The fixed ports of these programs, by the variables that change them."""
    ports = {
        "api": ("PRICING_PORT", settings.port),
        "worker": ("PRICING_WORKER_METRICS_PORT", settings.worker_metrics_port),
        "listener": ("PRICING_LISTENER_METRICS_PORT", settings.listener_metrics_port),
    }
    return dict(ports[name] for name in names if name in ports)


def _is_setting(name: str, value: str) -> bool:
    return name.startswith("OTEL_") or (app_settings.is_ours(name, value) and name != "PRICING_HOME")
