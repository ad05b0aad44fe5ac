"""`just rulebook`, `just policy` and `just import-rates`: documents go in as they come out."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from shared.commands.rulebook import import_rates, policy, rulebook_command
from shared.messaging.channel import RULEBOOK
from shared.messaging.clients import client
from shared.messaging.subscription import Subscription
from shared.postgres import pools
from shared.rulebook import exchange_rates, store
from shared.settings import Settings
from tests.support.waiting import eventually

COMMANDS = {"rulebook": rulebook_command, "policy": policy, "import-rates": import_rates}
Just = Callable[..., Result]


@pytest.fixture
def own(migrated_database: Callable[[], Settings]) -> Settings:
    settings = migrated_database()
    with pools.connect(settings, "tests") as conn:
        store.ensure_default(conn)
    return settings


@pytest.fixture
def just(own: Settings, tmp_path: Path) -> Just:
    def run(command: str, *arguments: str, file: object = None) -> Result:
        if file is not None:
            text = file if isinstance(file, str) else json.dumps(file)
            (tmp_path / "file").write_text(text)
        given = [str(tmp_path / "file") if argument == "FILE" else argument for argument in arguments]
        return CliRunner().invoke(COMMANDS[command], given, obj=own)

    return run


def shown(just: Just, *arguments: str) -> dict[str, Any]:
    done = just("rulebook", *arguments)
    assert done.exit_code == 0, done.output
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def tasks(settings: Settings) -> int:
    with pools.connect(settings, "tests") as conn:
        row = conn.execute("SELECT count(*) AS n FROM tasks WHERE kind = 'recalculation'").fetchone()
    assert row
    return int(row["n"])


def test_a_document_is_put_back_as_it_was_shown(just: Just, own: Settings) -> None:
    document = shown(just)
    assert "version 1 is active" in just("rulebook", "put", "FILE", file=document).stderr
    document["promotions"] = [{"id": "spring", "percent": "10", "conditions": [{"attribute": "quantity", "eq": 2.5}]}]
    assert "version 2 is active" in just("rulebook", "put", "FILE", file=document).stderr
    assert shown(just)["promotions"][0]["conditions"] == [{"attribute": "quantity", "eq": 2.5}]
    assert shown(just, "show", "--version", "1")["promotions"] == []
    assert "spring" in just("rulebook", "diff", "1").stdout
    assert [line.split()[0] for line in just("rulebook", "versions").stdout.splitlines()] == ["version", "2", "1"]
    assert tasks(own) == 0
    document["policy"]["min_margin"] = "0.07"
    assert "recalculation" in just("rulebook", "put", "FILE", file=document).stderr
    assert tasks(own) == 1


def test_parts_are_put_and_deleted(just: Just) -> None:
    assert just("rulebook", "put-part", "market", "FILE", "--code", "DE", file={"currency": "EUR"}).exit_code == 0
    assert just("rulebook", "put-part", "price-list", "FILE", file={"id": "a", "kind": "sale"}).exit_code == 0
    found = shown(just)
    assert (found["markets"]["DE"]["currency"], found["price_lists"][0]["id"]) == ("EUR", "a")
    assert just("rulebook", "delete-part", "price-list", "a").exit_code == 0
    assert just("rulebook", "delete-part", "market", "DE").exit_code == 0
    for arguments, words in (
        (("delete-part", "market", "DE"), "no market DE"),
        (("delete-part", "market", "DEFAULT"), "still in use"),
        (("put-part", "market", "FILE"), "--code is needed"),
    ):
        done = just("rulebook", *arguments, file={})
        assert done.exit_code != 0
        assert words in done.output


@pytest.mark.parametrize(
    ("file", "words"),
    [
        ("{", "not JSON"),
        ("[" * 100_000, "nested too deeply"),
        ({"promotions": [{"id": "a", "percent": "1e1"}]}, "$.promotions[0].percent"),
        ({"promotions": [{"id": "a", "percent": "1"}] * 2}, "$.promotions[1].id"),
        ({"markets": {"DE": {"zone": 5}}}, "$.markets.DE.zone"),
    ],
)
def test_a_wrong_document_is_refused_with_its_path(just: Just, file: object, words: str) -> None:
    done = just("rulebook", "put", "FILE", file=file)
    assert (done.exit_code, words in done.output) == (1, True), done.output
    assert len(shown(just)["promotions"]) == 0


def test_the_policy_goes_in_as_it_comes_out_and_recalculates(just: Just, own: Settings) -> None:
    before = json.loads(just("policy").stdout)
    done = just("policy", "FILE", file={**before, "max_step": "0.10"})
    assert done.exit_code == 0
    assert "policy 2 is active" in done.stderr
    assert json.loads(just("policy").stdout)["max_step"] == "0.10"
    assert tasks(own) == 1


def test_a_change_is_announced(just: Just, own: Settings) -> None:
    with client(own.redis_for("events"), "tests") as redis:
        channel = Subscription(redis, RULEBOOK)
        channel.take(0.1)
        assert just("import-rates", "FILE", file="from,to,rate\nEUR,USD,1.1\n").exit_code == 0
        eventually(lambda: any(b'"values_version":1' in each for each in channel.take(0.1)), "the announcement")
        channel.close()


def test_rates_are_imported_again_and_again(just: Just, own: Settings) -> None:
    history = "Date,USD,JPY,\n2026-07-02,1.09,161.5,\n2026-07-01,1.08,161.0,\n"
    first = just("import-rates", "FILE", file=history)
    assert (first.exit_code, "in force: 2 rates, and 2 of the past" in first.stderr) == (0, True), first.output
    assert just("import-rates", "FILE", file=history).exit_code == 0
    with pools.connect(own, "tests") as conn:
        rates = exchange_rates.in_force(conn)
        rows = conn.execute("SELECT count(*) AS n FROM market_values").fetchone()
    assert {pair: str(rate) for pair, rate in rates.items()} == {("EUR", "USD"): "1.09", ("EUR", "JPY"): "161.5"}
    assert rows == {"n": 4}
    assert "leave one out" in just("import-rates", "FILE", file="from,to,rate\nUSD,EUR,1.09\n").output
    assert "$.rates[0].to" in just("import-rates", "FILE", file="from,to,rate\nEUR,XXY,1\n").output
