"""The libraries for browsers are the files of the versions that are named, with their licences."""

import hashlib

import pytest

from deploy.errors import StackError
from deploy.vendoring import FOLDER, PACKAGES, File, check

FILES = [file for package in PACKAGES for file in package.files]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_a_vendored_file_has_its_digest(file: File) -> None:
    assert hashlib.sha256((FOLDER / file.name).read_bytes()).hexdigest() == file.sha256


def test_every_package_brings_its_licence() -> None:
    assert all(any("LICENSE" in file.name for file in package.files) for package in PACKAGES)


def test_a_file_with_another_digest_is_refused() -> None:
    with pytest.raises(StackError, match="not 00"):
        check("htmx", b"", "00")
