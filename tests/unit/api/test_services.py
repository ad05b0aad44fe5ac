"""The services as parameters of handlers."""

import msgspec
import pytest

from api.services import Services


class Parameters(msgspec.Struct):
    """As Litestar makes them of a handler's signature."""

    services: Services


def test_handlers_can_take_the_services() -> None:
    """Of a field whose type msgspec does not support, this would be a TypeError, and each request a 500."""
    with pytest.raises(msgspec.ValidationError, match="services"):
        msgspec.convert({"services": 1}, Parameters)
