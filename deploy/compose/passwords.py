"""`.env` beside compose.yaml: project name, passwords and admin key, created once, readable by its owner only."""

import secrets
from pathlib import Path

from deploy import home as pricing_home
from deploy.compose.errors import DockerError
from deploy.offer_keys import OFFER_KEYS, new_offer_key, rotated
from shared.secrets import ADMIN_KEY_FILE

PROJECT = "COMPOSE_PROJECT_NAME"
ADMIN_KEY = "PRICING_ADMIN_KEY"


def ensure(repository: Path, home: Path) -> None:
    """Add missing values to `.env` (mode 0600), and write the admin key to the file that `just key` reads.

    Existing lines of `.env` are kept. The project's name is created with the passwords: another clone, or a clone that
    has lost its `.env`, thus gets new volumes for its new passwords. The admin key of a native stack is kept.

    Raises:
        DockerError: `.env` or the key's file cannot be written.
    """
    try:
        _ensure(repository, home)
    except OSError as error:
        raise DockerError(f"{error.filename} cannot be written: {error.strerror}.") from error


def _ensure(repository: Path, home: Path) -> None:
    path = repository / ".env"
    lines = path.read_text().splitlines() if path.exists() else []
    known = read(repository)
    made = {
        PROJECT: f"pricing-{secrets.token_hex(4)}",
        "POSTGRES_PASSWORD": secrets.token_hex(24),
        "POSTGRES_SUPERUSER_PASSWORD": secrets.token_hex(24),
        "REDIS_PASSWORD": secrets.token_hex(24),
        "REDIS_ENGINE_PASSWORD": secrets.token_hex(24),
        "GRAFANA_PASSWORD": secrets.token_hex(24),
        OFFER_KEYS: new_offer_key(),
        ADMIN_KEY: _native_key(home) or secrets.token_hex(24),
    }
    added = {name: value for name, value in made.items() if not known.get(name)}
    if added:
        kept = [line for line in lines if line.partition("=")[0] not in added]
        pricing_home.write_private(path, "\n".join([*kept, *(f"{name}={value}" for name, value in added.items()), ""]))
    path.chmod(0o600)
    pricing_home.write_private(home / ADMIN_KEY_FILE, (known | added)[ADMIN_KEY] + "\n")


def read(repository: Path) -> dict[str, str]:
    """The values in `.env`; none where there is no such file."""
    path = repository / ".env"
    lines = path.read_text().splitlines() if path.is_file() else []
    return dict(line.split("=", 1) for line in lines if "=" in line)


def rotate_offer_keys(repository: Path) -> bool:
    """Put a new key of offers before the others, for the next start; returns whether there is a stack."""
    known = read(repository)
    if not known.get(OFFER_KEYS):
        return False
    changed = known | {OFFER_KEYS: rotated(known[OFFER_KEYS])}
    pricing_home.write_private(repository / ".env", "".join(f"{name}={value}\n" for name, value in changed.items()))
    return True


def _native_key(home: Path) -> str:
    path = home / ADMIN_KEY_FILE
    return path.read_text().strip() if path.exists() else ""
