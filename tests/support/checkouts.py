"""The files of a commit of this repository."""

import subprocess
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]


def check_out(commit: str, folder: Path) -> None:
    """Write the files of a commit into a new folder."""
    folder.mkdir(parents=True)
    packed = subprocess.run(["git", "-C", str(REPOSITORY), "archive", commit], capture_output=True, check=True).stdout
    # By tar: Debian 12's Python has no safe way to extract an archive.
    subprocess.run(["tar", "-x", "-C", str(folder)], input=packed, check=True)
