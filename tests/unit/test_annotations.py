"""Python 3.14 evaluates annotations late, in the scope of their class: there, a field hides whatever has its name."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("api", "workers", "listener", "shared", "deploy", "tests")


def hidden(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            fields = [part for part in node.body if isinstance(part, ast.AnnAssign)]
            names = {part.target.id for part in fields if isinstance(part.target, ast.Name)}
            used = {name.id for part in fields for name in ast.walk(part.annotation) if isinstance(name, ast.Name)}
            yield from (f"{node.name}.{name}" for name in sorted(names & used))


def test_a_field_that_its_class_annotates_with_is_found() -> None:
    assert list(hidden(ast.parse("class A:\n    date: date\n    size: int"))) == ["A.date"]


def test_no_annotation_names_a_field_of_its_own_class() -> None:
    found = {
        f"{path.relative_to(ROOT)}: {name}"
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        for name in hidden(ast.parse(path.read_text(encoding="utf-8")))
    }
    assert found == set()
