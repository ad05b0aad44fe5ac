"""`.env` beside compose.yaml: the passwords and the admin key, made once, readable by their owner only."""

import secrets
from pathlib import Path

from deploy.native import home as place
from shared.catalogue.keys import ADMIN_KEY_FILE

NAMES = ("POSTGRES_PASSWORD", "REDIS_PASSWORD", "PRICING_ADMIN_KEY")


def ensure(repository: Path, home: Path) -> None:
    """Add what is missing to `.env` (mode 0600), and write the admin key where `just key` finds it.

    What stands in `.env` already stays as it is, other lines included.
    """
    path = repository / ".env"
    lines = path.read_text().splitlines() if path.exists() else []
    known = dict(line.split("=", 1) for line in lines if "=" in line)
    added = {name: secrets.token_hex(24) for name in NAMES if not known.get(name)}
    if added:
        kept = [line for line in lines if line.partition("=")[0] not in added]
        place.write_private(path, "\n".join([*kept, *(f"{name}={value}" for name, value in added.items()), ""]))
    path.chmod(0o600)
    place.prepare(home)
    place.write_private(home / ADMIN_KEY_FILE, (known | added)["PRICING_ADMIN_KEY"] + "\n")
