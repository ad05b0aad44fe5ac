"""A few hostile inputs for every way into the engine; `just fuzz` sends 200,000."""

import json
from pathlib import Path

from click.testing import CliRunner

from tests.fuzz.__main__ import main


def test_hostile_inputs_end_with_an_answer_and_leave_every_process_alive(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    result = CliRunner().invoke(
        main, ["http", "channel", "import", "policy", "rulebook", "--inputs", "1500", "--json", str(figures)]
    )
    found = json.loads(figures.read_text())
    assert found["failures"] == [], result.output
    assert found["inputs"] >= 1500
