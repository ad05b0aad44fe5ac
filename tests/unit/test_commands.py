"""The operators' commands are found by their names."""

import click
import pytest

from shared.commands.__main__ import COMMANDS, main

NOBODY = click.Context(main)


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_a_command_has_the_name_by_which_it_is_found(name: str) -> None:
    command = main.get_command(NOBODY, name)
    assert command is not None
    assert command.name == name


def test_a_name_that_no_command_has_is_none() -> None:
    assert main.get_command(NOBODY, "nope") is None
