"""The committed OpenAPI document is the one that the API serves."""

from pathlib import Path

import pytest

from api.openapi_file import text

# Litestar 3 wants dependencies and parameters marked; Litestar 2 reads them as they are.
pytestmark = pytest.mark.filterwarnings("ignore::litestar.exceptions.LitestarDeprecationWarning")

FILE = Path(__file__).parents[3] / "docs" / "openapi.json"


def test_the_committed_document_is_the_served_one() -> None:
    assert text() == FILE.read_text(), "run `just openapi` and commit docs/openapi.json"


def test_the_document_is_the_same_each_time() -> None:
    assert text() == text()
