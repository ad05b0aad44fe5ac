"""Calls of the API's own operations, whose rules hold for the console, too."""

from typing import Any

from litestar.handlers import HTTPRouteHandler


def call(operation: HTTPRouteHandler, *arguments: object) -> Any:
    """What a synchronous operation answers; guards and bodies are the caller's matter."""
    return operation.fn(*arguments)
