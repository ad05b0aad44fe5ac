"""The documents name what is there: files, headings, recipes, settings and metrics."""

import re
from pathlib import Path

import pytest
from msgspec.structs import fields

from shared.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([ROOT / "README.md", ROOT / "ARCHITECTURE.md", *DOCS.rglob("*.md"), *ROOT.glob(".github/*.md")])
DECISIONS = sorted(DOCS.glob("decisions/*.md"))

LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)#?([^)\s]*)\)")
# A folder of ours and what follows it; `shared/<room>` names none.
PATH = re.compile(r"`((?:api|deploy|docs|listener|shared|tests|workers)/[\w./-]*)`")
METRIC = re.compile(r"\bpricing_[a-z_]*[a-z]\b(?!\.py)")
# The rest of these names is made of a table.
LAST_RUN = "pricing_last_run_"

pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def anchors(page: Path) -> set[str]:
    """The headings of a page as GitHub links to them."""
    titles = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


def declared_metrics() -> set[str]:
    return {
        name for path in ROOT.glob("shared/**/*.py") for name in re.findall(r'"(pricing_[a-z_]+)"', path.read_text())
    }


@pages
def test_a_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    for target, anchor in LINK.findall(page.read_text()):
        found = page.parent / target if target else page
        assert found.exists(), target
        assert not anchor or anchor in anchors(found), f"{target}#{anchor}"


@pages
def test_a_path_in_the_text_exists(page: Path) -> None:
    assert [path for path in PATH.findall(page.read_text()) if not (ROOT / path).exists()] == []


@pages
def test_a_command_is_a_recipe(page: Path) -> None:
    recipes = set(re.findall(r"^([a-z]+)\b.*:(?!=)", (ROOT / "Justfile").read_text(), re.MULTILINE))
    assert set(re.findall(r"(?:^|`)just ([a-z]+)", page.read_text(), re.MULTILINE)) <= recipes


@pages
def test_a_variable_is_a_setting(page: Path) -> None:
    of_tests = {f"PRICING_TEST_{name}" for name in ("DATA", "WITHOUT", "RESTARTS", "REQUESTS", "PRODUCTS")}
    settings = {field.encode_name for field in fields(Settings)} | of_tests
    assert set(re.findall(r"\bPRICING_[A-Z_]*[A-Z]\b", page.read_text())) <= settings


@pages
def test_a_metric_is_declared(page: Path) -> None:
    named = {name.removesuffix("_total") for name in METRIC.findall(page.read_text())}
    assert {name for name in named - declared_metrics() if not name.startswith(LAST_RUN)} == set()


def test_every_setting_is_documented() -> None:
    text = (DOCS / "operating.md").read_text()
    assert [field.encode_name for field in fields(Settings) if f"`{field.encode_name}`" not in text] == []


def test_every_metric_is_documented() -> None:
    named = set(METRIC.findall((DOCS / "metrics.md").read_text()))
    assert declared_metrics() - {name.removesuffix("_total") for name in named} == set()


def test_decisions_are_numbered_without_a_gap_and_listed() -> None:
    assert [path.name[:4] for path in DECISIONS] == [f"{number:04}" for number in range(len(DECISIONS))]
    index = (DOCS / "index.md").read_text()
    assert [path.name for path in DECISIONS if path.name not in index] == []


@pytest.mark.parametrize("decision", DECISIONS, ids=lambda path: path.stem)
def test_a_decision_fits_on_a_screen(decision: Path) -> None:
    assert len(decision.read_text().splitlines()) <= 40
