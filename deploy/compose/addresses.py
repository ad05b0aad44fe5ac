"""The addresses of the containers on this machine."""

import os

from deploy.compose.errors import DockerError

# Variables of compose.yaml and their defaults.
PORTS = {"PRICING_PORT": 8000, "JAEGER_PORT": 16686, "PROMETHEUS_PORT": 9090, "GRAFANA_PORT": 3000}


def base() -> str:
    """The address of the API."""
    return f"http://127.0.0.1:{port('PRICING_PORT')}"


def port(variable: str) -> int:
    """A published port: the value of its variable, else the default."""
    value = os.environ.get(variable) or PORTS[variable]
    try:
        return int(value)
    except ValueError:
        raise DockerError(f"{variable} is {value}, which is not a port number.") from None
