"""The commands of the README and of its page of checks, and where each of them is run."""

import re
from pathlib import Path

from tests.bench.__main__ import BENCHMARKS

ROOT = Path(__file__).resolve().parents[3]
README = (ROOT / "README.md").read_text()
CHECKS = (ROOT / "docs/checks.md").read_text()

# Tests of test_readme_commands.py, which run the command as the README has it.
PRICED, EVENT = "test_a_price_is_asked_for", "test_an_event_is_told"
LOOKED_AT, LOADED = "test_the_stack_is_looked_at", "test_load_is_put_on_it_and_judged"
STARTED = "test_the_first_command_starts_it_from_nothing"
# Files that run it.
CI = ".ci/run"
DOCKER = "tests/integration/deploy/test_compose_stack.py"
PAGES = "tests/integration/deploy/test_page_commands.py"
# It runs these tests, or beside them, or for long: only its recipe and its arguments are checked.
RECIPE = "Justfile"

# Command, as it stands there, in parts of `&&` → where it is run.
RUN = {
    "python3 -m venv .venv": CI,
    ".venv/bin/pip install -q uv rust-just": CI,
    ".venv/bin/just up": STARTED,
    ".venv/bin/just test": CI,
    ".venv/bin/just": LOOKED_AT,
    "just": LOOKED_AT,
    "alias just=.venv/bin/just": LOOKED_AT,
    "curl -sS localhost:${PRICING_PORT:-8000}/api/v1/price": PRICED,
    'curl -sS "localhost:${PRICING_PORT:-8000}/api/v1/price?explain=true"': PRICED,
    "curl -sS localhost:${PRICING_PORT:-8000}/api/v1/publish-market-event": EVENT,
    "just logs | grep TRACE_ID": EVENT,
    "just keys create": "tests/integration/commands/test_keys.py",
    "just keys revoke ID": "tests/integration/commands/test_keys.py",
    "just up --empty": "tests/integration/commands/test_deleting.py",
    "just delete demo": "tests/integration/commands/test_deleting.py",
    "just import": PAGES,
    "just export": PAGES,
    "just status": LOOKED_AT,
    "just console": PAGES,
    "just logs [SERVICE] [--follow]": LOOKED_AT,
    "just up": STARTED,
    "just up native": STARTED,
    "just down": STARTED,
    "just tasks": LOOKED_AT,
    "just events": LOOKED_AT,
    "just holds": LOOKED_AT,
    "just plan FILE": "tests/integration/plans/test_plan_commands.py",
    "just apply PLAN_ID": "tests/integration/plans/test_plan_commands.py",
    "just trace": EVENT,
    "just trace [TRACE_ID]": EVENT,
    "just fuzz": RECIPE,
    "just load": LOADED,
    "just load --ui": RECIPE,
    "just load --here": LOADED,
    "just chaos": RECIPE,
    "just chaos --list": RECIPE,
    "just chaos redis-frozen --quick": RECIPE,
    **{
        f"just bench{what}": RECIPE
        for what in ("", " --quick", *(f" {name}" for name in BENCHMARKS if name != "reads"))
    },
    "just bench reads --rounds 15": RECIPE,
    "just up docker": DOCKER,
    "just up docker monitoring": DOCKER,
    "just verify": RECIPE,
    "just test": RECIPE,
    "just test-long": RECIPE,
    "just check": RECIPE,
}


def commands(text: str) -> list[str]:
    """The commands of code blocks and of code within sentences, without a request's or an import's options."""
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    begins = (".venv", "python", "just", "curl", "docker")
    lines = [line for block in blocks for line in block.splitlines() if line.startswith(begins)]
    text = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    within = re.findall(r"(?<!`)`((?:just|git|alias|\.venv/bin/just)(?: [^`]*)?)`(?!`)", text)
    parts = [part for command in [*lines, *within] for part in command.split(" && ")]
    return [re.split(r" (?:-d|-H|--map) ", part)[0] for part in parts if not part.startswith("git ")]


def block(begin: str) -> str:
    """The code block of the README that has this text."""
    found: str
    [found] = [text for text in re.findall(r"^```sh\n(.*?)^```", README, re.DOTALL | re.MULTILINE) if begin in text]
    return found


def is_among(command: str, lines: list[str]) -> bool:
    """Whether one of these lines runs the command; of one word it is the whole line.

    `[X]` may be left out, and a word in capitals stands for any one.
    """
    if " " not in command:
        return command in lines
    pattern = re.compile(rf"(?<![\w./-]){''.join(map(_pattern, command.split())).lstrip()}(?![\w./-])")
    return any(map(pattern.search, lines))


def _pattern(word: str) -> str:
    if word.startswith("["):
        return f"(?:{_pattern(word.strip('[]'))})?"
    return r" \S+" if re.fullmatch(r"[A-Z_]+", word) else f" {re.escape(word)}"
