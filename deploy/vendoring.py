"""`just vendor`: the console's libraries for browsers, as files of the repository; none is downloaded at run time.

Each package comes from npm in a fixed version. Its archive and its files must have the digests that stand here.
"""

import hashlib
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import NamedTuple

from deploy.errors import StackError

FOLDER = Path(__file__).parents[1] / "api/console/static"


class File(NamedTuple):
    """A file of a package: its path in the archive, its name here, and its SHA-256."""

    path: str
    name: str
    sha256: str


class Package(NamedTuple):
    """A package of npm, with the SHA-256 of its archive and its licence."""

    name: str
    version: str
    sha256: str
    licence: str
    files: tuple[File, ...]


PACKAGES = (
    Package(
        "htmx.org",
        "4.0.1",
        "5fba65616ca148a86d377e9771bcada7f35faee3558651feb929eea425e13b3c",
        "0BSD",
        (
            File(
                "package/dist/htmx.min.js",
                "htmx.min.js",
                "a0abb04f2f45a1f89d1d4844023245537e5e6014c87b144553e0607b4cc32130",
            ),
            File("package/LICENSE", "htmx.LICENSE", "d3d2456f76414f2456104660ebd65aff1c04cd7966b942bdabd63f3cdb316a38"),
        ),
    ),
)


def main() -> None:
    """Fetch every package, and replace its files."""
    for package in PACKAGES:
        with tempfile.TemporaryDirectory() as folder:
            fetch(package, Path(folder))
        sys.stdout.write(f"{package.name} {package.version}, {package.licence}\n")


def fetch(package: Package, folder: Path) -> None:
    """Fetch one package into a folder, and put its files in their place.

    Raises:
        StackError: its archive or a file has another digest.
    """
    spec = f"{package.name}@{package.version}"
    subprocess.run(["npm", "pack", "--silent", spec], cwd=folder, check=True, capture_output=True)  # noqa: S603, S607 # npm, wherever it is
    [archive] = folder.glob("*.tgz")
    check(spec, archive.read_bytes(), package.sha256)
    with tarfile.open(archive) as members:
        for file in package.files:
            member = members.extractfile(file.path)
            if member is None:
                raise StackError(f"{spec} has no file {file.path}.")
            content = member.read()
            check(f"{spec}: {file.path}", content, file.sha256)
            (FOLDER / file.name).write_bytes(content)


def check(name: str, content: bytes, sha256: str) -> None:
    """Raise StackError where the content has another digest."""
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise StackError(f"{name} has the SHA-256 {found}, not {sha256}.")


if __name__ == "__main__":
    main()
