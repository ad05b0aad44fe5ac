"""`python -m api.openapi_file`: the OpenAPI document on standard output, as `docs/openapi.json` has it."""

import json
import sys

from api.app import create_litestar
from api.edge.limits import Limits
from shared.settings import Settings


def text() -> str:
    """The document that the API serves, as indented JSON."""
    app = create_litestar(Settings(), Limits(body_timeout_s=1, port=1))
    return json.dumps(app.openapi_schema.to_schema(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(text())
