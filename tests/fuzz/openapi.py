"""Requests that Schemathesis makes from the OpenAPI document: field by field, and calls that follow each other."""

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.support.engine import Engine

CONFIG = Path(__file__).with_name("schemathesis.toml")
# The last lines, which have the failures and how to repeat them.
SHOWN = 12_000


def run(engine: Engine, examples: int, seed: int) -> tuple[int, list[str]]:
    """Make about so many examples for each operation, with all checks.

    Returns:
        The number of requests, and the failures.
    """
    url = f"{str(engine.http.base_url).rstrip('/')}/docs/openapi.json"
    program = str(Path(sys.executable).with_name("schemathesis"))
    options = ["--config-file", str(CONFIG), "run", url, "--checks", "all", "--max-examples", str(examples)]
    # A revocation would end the key of the requests themselves; a stream does not end.
    for name in ("revokeKey", "streamPriceChanges"):
        options += ["--exclude-operation-id", name]
    done = subprocess.run(
        [program, *options, "--seed", str(seed), "--no-color"],
        capture_output=True,
        text=True,
        check=False,
        cwd=engine.home,
        env=os.environ | {"FUZZ_KEY": engine.key},
    )
    generated = re.search(r"(\d[\d,]*) generated", done.stdout)
    requests = int(generated[1].replace(",", "")) if generated else 0
    if done.returncode == 0 and requests:
        return requests, []
    return requests, [(done.stdout + done.stderr)[-SHOWN:]]
