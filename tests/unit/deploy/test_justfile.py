"""The Justfile: every command of the stack and of operators explains itself by `--help`."""

import re
from pathlib import Path

RECIPE = re.compile(
    r"^(?P<name>[a-z-]+)(?P<parameters>[^:\n]*): setup\n    @\{\{ python \}\} -m deploy(\.trace)? ", re.MULTILINE
)


def test_every_command_passes_its_arguments_on() -> None:
    found = RECIPE.findall(Path("Justfile").read_text())
    assert {"up", "down", "import", "console"} < {name for name, *_ in found}
    assert [name for name, parameters, _ in found if "*" not in parameters] == []
