"""`just status`: the texts of whatever answers at the API's port are shown as text."""

from rich.console import Console

from deploy.status import StatusReport
from tests.unit.deploy.json_server import answering

HOSTILE = "a\x1b[2J\rb\x9bc [red]d"


def test_no_text_of_an_answer_moves_the_cursor() -> None:
    dependencies = {HOSTILE: {"status": HOSTILE, "version": HOSTILE, "error": HOSTILE}}
    body = {"status": HOSTILE, "version": HOSTILE, "error": HOSTILE, "dependencies": dependencies}
    console = Console(width=400, no_color=True)
    with answering(200, body) as (url, _), console.capture() as captured:
        console.print(StatusReport(url, {}).drawn())
    lines = captured.get().splitlines()
    assert all(line.isprintable() for line in lines)
    assert sum("\\u001b[2J" in line and "[red]" in line for line in lines) == 2


def test_admin_keys_of_former_starts_are_named() -> None:
    scraped = 'pricing_former_admin_key{key_id="7"} 1.0\npricing_former_admin_key{key_id="12"} 1.0\n'
    console = Console(width=400, no_color=True)
    with answering(200, {"status": "ready"}) as (url, _), console.capture() as captured:
        console.print(StatusReport(url, {"listener": lambda: scraped}).drawn())
    assert "Admin keys of former starts still work: 7, 12. `just keys revoke ID` ends one." in captured.get()
