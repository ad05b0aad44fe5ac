"""Foreign text in terminals: nothing that moves, colours, reorders or begins a line."""

import ast
import json
from pathlib import Path

import pytest

from shared.printable import indented, printable

COMMANDS = Path(__file__).resolve().parents[2] / "shared" / "commands"


@pytest.mark.parametrize("text", ["", "Kettle, 1.7 l", "Ä 中 🫖", "[bold] :smile: 100 % \\n"])
def test_ordinary_text_stays(text: str) -> None:
    assert printable(text) is text


@pytest.mark.parametrize(
    "character",
    ["\x1b", "\r", "\n", "\b", "\x07", "\x7f", "\x9b", "\u202e", "\u2028", "\ud800", "\U000e0001", "\t", "\0"],
)
def test_each_dangerous_character_becomes_its_json_escape(character: str) -> None:
    shown = printable(f"a{character}ä")
    assert shown.isprintable()
    assert json.loads(f'"{shown}"') == f"a{character}ä"


def test_kept_characters_stay() -> None:
    assert printable("a\n\x1bb", keep="\n") == "a\n\\u001bb"


def test_no_line_of_a_traceback_passes_for_one_of_ours() -> None:
    lines = indented("ValueError: no\nstatus: applied\r\x1b[31mred\x85more").splitlines()
    assert all(line.startswith("  ") and line.isprintable() for line in lines)
    assert len(lines) == 4


def test_commands_print_by_the_terminal_module_alone() -> None:
    """Elsewhere only tables, whose cells are escaped, and what is escaped on the spot."""
    for path in COMMANDS.glob("*.py"):
        calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
        printing = [ast.unparse(call) for call in calls if ast.unparse(call.func) in PRINTING]
        wrong = [call for call in printing if not call.startswith(ESCAPED)]
        assert path.name == "terminal.py" or not wrong, (path.name, wrong)


PRINTING = {
    "print",
    "out.print",
    "console.print",
    "click.echo",
    "click.secho",
    "click.ClickException",
    "click.UsageError",
}
ESCAPED = (
    "out.print(rows, ",
    "click.echo(printable(",
    "click.UsageError(printable(",
    # No foreign text: our own settings, ids and keys of ours, and a constant.
    "click.ClickException(str(error))",
    "click.echo(key)",
    "click.echo(str(task_id))",
    "click.UsageError('",
)
