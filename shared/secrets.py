"""Keys, and files of keys: their checks, and the name of the first key's."""

import os
import re
from pathlib import Path

# In PRICING_HOME: the first key itself.
ADMIN_KEY_FILE = "admin.key"
MIN_KEY_LENGTH, MIN_KEY_CHARACTERS = 32, 8


def check_key(key: str) -> None:
    """Raise ValueError for a key that somebody chose and that can be guessed."""
    is_plain = key.isascii() and key.isprintable() and " " not in key
    if len(key) < MIN_KEY_LENGTH or len(set(key)) < MIN_KEY_CHARACTERS or not is_plain:
        raise ValueError(
            f"must be random, at least {MIN_KEY_LENGTH} letters and digits; make one by `openssl rand -hex 32`"
        )


def check_header(text: str) -> None:
    """Raise ValueError for a text that cannot stand in a header."""
    if not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("must have printable ASCII characters only, without blanks")


def check_offer_keys(text: str) -> None:
    """Raise ValueError unless the text is different Ed25519 keys, with commas between them."""
    keys = [key.strip() for key in text.split(",")]
    if len(set(keys)) != len(keys) or not all(_OFFER_KEY(key) for key in keys):
        raise ValueError("must be different keys with commas between them, each as `just offers new-key` prints one")


def check_file(path: str) -> None:
    """Raise ValueError unless this process can read the file."""
    if not os.access(path, os.R_OK) or not Path(path).is_file():
        raise ValueError("must be a file that can be read")


_OFFER_KEY = re.compile(r"[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]").fullmatch
