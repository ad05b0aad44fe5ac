"""Alerts and dashboards as files: valid, tried out, and each with something to do."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support import promtool

FOLDER = Path(__file__).resolve().parents[2] / "deploy" / "monitoring"
ALERTS = [rule for group in yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"] for rule in group["rules"]]


def dashboards() -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted((FOLDER / "dashboards").glob("*.json"))]


def test_prometheus_takes_its_configuration_and_the_rules() -> None:
    assert f"{len(ALERTS)} rules found" in promtool.run("check", "config", "prometheus.yml", folder=FOLDER)


@pytest.mark.long
def test_each_alert_fires_when_it_should() -> None:
    assert "SUCCESS" in promtool.run("test", "rules", "alerts.test.yml", folder=Path(__file__).parent)


def test_each_alert_is_tried_out() -> None:
    tried = yaml.safe_load((Path(__file__).parent / "alerts.test.yml").read_text())["tests"]
    firing = {test["alertname"] for group in tried for test in group.get("alert_rule_test", ()) if test["exp_alerts"]}
    for test in (test for group in tried for test in group.get("promql_expr_test", ())):
        texts = [f"{test['expr']} {one.get('labels')}" for one in test["exp_samples"] if one["value"]]
        firing |= set(re.findall(r'alertname="(\w+)"', " ".join(texts)))
    assert firing == {rule["alert"] for rule in ALERTS}


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: str(rule["alert"]))
def test_an_alert_says_what_is_wrong_and_what_to_do(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in ("page", "ticket")
    assert rule["annotations"]["summary"]
    assert len(rule["annotations"]["action"]) > 80


def test_there_is_a_dashboard_for_the_reads_and_one_for_the_background() -> None:
    assert [dashboard["uid"] for dashboard in dashboards()] == ["pricing-background", "pricing-reads"]


def test_no_two_panels_lie_on_one_another() -> None:
    for dashboard in dashboards():
        places = [panel["gridPos"] for panel in dashboard["panels"]]
        cells = [
            (x, y)
            for place in places
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        ]
        assert len(cells) == len(set(cells))
        assert max(x for x, _ in cells) < 24


@pytest.mark.parametrize("dashboard", dashboards(), ids=lambda dashboard: str(dashboard["uid"]))
def test_prometheus_understands_each_query_of_a_dashboard(dashboard: dict[str, Any], tmp_path: Path) -> None:
    queries = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    rules = [{"record": f"query:{number}", "expr": query} for number, query in enumerate(queries)]
    (tmp_path / "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    assert f"{len(rules)} rules found" in promtool.run("check", "rules", "rules.yml", folder=tmp_path)
