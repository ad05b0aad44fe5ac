"""Programs and data that a test needs and a machine may lack: skipped at home, failed under CI=true.

`PRICING_TEST_WITHOUT` names what a CI does without, with commas:
`docker,promtool,tls,haproxy,pgbouncer,helm,chromium,data`.
"""

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

WITHOUT = "PRICING_TEST_WITHOUT"
DATA = "PRICING_TEST_DATA"


def need(name: str, found: object, how: str, environ: Mapping[str, str] = os.environ) -> None:
    """Go on where it was found; else skip the test, or fail it under CI=true.

    Args:
        name: `docker`, `promtool`, `tls`, `haproxy`, `chromium` or `data`.
        found: Whether it is there; anything true.
        how: How to get it, for people.
        environ: Has `CI`, and `PRICING_TEST_WITHOUT` with the names that may be missing there.
    """
    if found:
        return
    reason = f"no {name}: {how}"
    if environ.get("CI") == "true" and name not in environ.get(WITHOUT, "").split(","):
        pytest.fail(f"{reason}; {WITHOUT}={name} skips this test")
    pytest.skip(reason)


def public_data() -> Path:
    """The folder of the public catalogues and price facts."""
    folder = os.environ.get(DATA, "")
    need("data", folder, f"{DATA} names no folder")
    return Path(folder)


def case_files() -> Path:
    """The folder of small files as shops write them, beside the public catalogues."""
    folder = public_data().parent / "cases"
    need("data", folder.is_dir(), f"there is no folder cases beside {DATA}")
    return folder
