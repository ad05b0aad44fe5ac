"""Files to be imported."""

from pathlib import Path

import pytest

from tests.integration.importing.import_results import Writing


@pytest.fixture
def file(tmp_path: Path) -> Writing:
    def write(content: str | bytes) -> Path:
        path = tmp_path / "products"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write
