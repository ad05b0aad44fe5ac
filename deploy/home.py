"""PRICING_HOME: the only folder that the stack writes to, readable by its owner only."""

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from deploy.errors import StackError
from shared.secrets import ADMIN_KEY_FILE

STATE_FILE = "native.json"
ENV_FILE = "stack.env"
CONFIG_FILE = "supervisord.conf"
NEEDED_MB = 200
_OURS = {STATE_FILE, ENV_FILE, ADMIN_KEY_FILE, "native.lock"}


def locate(env: Mapping[str, str]) -> Path:
    """The absolute path of the home: PRICING_HOME, else `.pricing` in the current folder."""
    return Path(env.get("PRICING_HOME") or ".pricing").expanduser().resolve()


def prepare(home: Path) -> None:
    """Create the home and its logs folder with mode 0700; no folder outside it is created or changed.

    Raises:
        StackError: the folder cannot be created, or contains foreign files and is open to other users.
    """
    try:
        home.mkdir(mode=0o700, exist_ok=True)
        _close(home)
        log_folder(home).mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise StackError(f"PRICING_HOME {home} cannot be used: {error.strerror}.") from error


def refuse_full_disk(home: Path) -> None:
    """Raise StackError where there is no room for a database to start."""
    free_mb = shutil.disk_usage(home).free >> 20
    if free_mb < NEEDED_MB:
        raise StackError(
            f"The disk of PRICING_HOME {home} has {free_mb} MB left, and a start needs {NEEDED_MB} MB: "
            "free some space, or set PRICING_HOME to a folder on another disk."
        )


def log_folder(home: Path) -> Path:
    """The folder of the programs' logs."""
    return home / "logs"


def log_file(home: Path, program: str) -> Path:
    """The log of one program, stdout and stderr in one."""
    return log_folder(home) / f"{program}.log"


def authorization(home: Path) -> dict[str, str]:
    """The header with the admin key; none where there is no key."""
    path = home / ADMIN_KEY_FILE
    key = os.environ.get("PRICING_ADMIN_KEY") or (path.read_text().strip() if path.exists() else "")
    return {"authorization": f"Bearer {key}"} if key else {}


def write_private(path: Path, text: str) -> None:
    """Replace a file atomically, with mode 0600 from its first byte."""
    new = path.with_name(f"{path.name}.new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    new.replace(path)


@contextmanager
def locked(home: Path, when_waiting: Callable[[], None]) -> Iterator[int]:
    """Hold the home's lock by a file descriptor; `when_waiting` is called once if another process holds it."""
    with os.fdopen(os.open(home / "native.lock", os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            when_waiting()
            fcntl.flock(file, fcntl.LOCK_EX)
        yield file.fileno()


def _close(home: Path) -> None:
    if home.stat().st_mode & 0o777 == 0o700:
        return
    names = {path.name for path in home.iterdir()}
    if names and not names & _OURS:
        raise StackError(f"PRICING_HOME {home} contains other files: choose a folder of its own.")
    home.chmod(0o700)
