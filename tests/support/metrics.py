"""The figures that this process has counted."""

from prometheus_client import REGISTRY


def counted(name: str, **labels: str) -> float:
    """A sample's value, by the name that a scrape shows; 0 where it was never counted."""
    return REGISTRY.get_sample_value(name, labels) or 0.0
