"""The programs of the native stack's PostgreSQL."""

import os
from pathlib import Path

from deploy.native import postgres_server


def tools() -> Path:
    """The folder of psql, pg_dump and the like."""
    return postgres_server.binaries(Path("/nowhere"), os.environ)
