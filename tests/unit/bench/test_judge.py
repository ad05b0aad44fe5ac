"""The benchmarks' judge: what wrk printed, medians and their ratios, bars."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from tests.bench import catalogue, report, wrk
from tests.bench.cores import Busy
from tests.bench.judge import Bar, Sign, of_rounds, ratio
from tests.bench.outcome import Outcome
from tests.bench.reads import bars, ratios
from tests.bench.series import FIGURES, Series, Window
from tests.bench.server import Server
from tests.bench.wrk import CannotMeasure, Measured

PRINTED = """\
Running 2s test @ http://127.0.0.1:8000/api/v1/price
  1 threads and 32 connections
  Requests/sec:   8000.00
{"requests": 16000, "duration_us": 2000000, "p50_us": 3500, "p99_us": 9100, "broken": 0, "refused": 2}
"""
NOBODY = cast(Server, None)


def window(requests: int = 16_000, cpu_s: float = 1.6, p50_us: int = 3_000, p99_us: int = 9_000) -> Window:
    measured = Measured(requests, 2_000_000, p50_us, p99_us, broken=0, refused=0, load_cpu_s=0.5)
    return Window(measured, cpu_s, rss_bytes=50_000_000, others_busy=0.5, disturbed=0.0)


def series(name: str, *windows: Window, faults: tuple[str, ...] = ()) -> Series:
    return Series(name, f"the {name}", NOBODY, lambda _: Path(), windows=list(windows), faults=list(faults))


def test_the_figures_are_the_last_line_that_wrk_prints() -> None:
    found = wrk.parse(PRINTED)
    assert found == Measured(16_000, 2_000_000, 3_500, 9_100, broken=0, refused=2)
    assert (found.requests_per_s, found.duration_s) == (8_000, 2)


@pytest.mark.parametrize("printed", ["", "unable to connect to 127.0.0.1:1 Connection refused", '{"requests": 1'])
def test_without_figures_wrk_own_words_are_told(printed: str) -> None:
    with pytest.raises(CannotMeasure, match="wrk"):
        wrk.parse(printed)


def test_where_wrk_is_missing_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(CannotMeasure, match="apt install wrk"):
        wrk.find()


@pytest.mark.parametrize(
    ("measured", "sign", "bound", "holds"),
    [
        (10.0, "≥", 10, True),
        (9.99, "≥", 10, False),
        (50.0, "≤", 50, True),
        (50.1, "≤", 50, False),
        (1.7, "<", 1.7, False),
        (1.69, "<", 1.7, True),
        (math.nan, "≥", 0, False),
        (math.nan, "<", 1, False),
        (1.0, "<", math.nan, False),
    ],
)
def test_a_bar_is_met_on_the_right_side_of_its_bound(measured: float, sign: Sign, bound: float, holds: bool) -> None:
    assert Bar("what", measured, sign, bound).holds is holds


def test_a_ratio_is_one_of_medians_and_not_of_the_best() -> None:
    assert ratio([1.0, 9.0, 10.0], [1.0, 3.0, 100.0]) == 3
    assert math.isnan(ratio([], [1.0]))
    assert math.isnan(ratio([1.0], []))
    assert math.isnan(ratio([1.0], [0.0]))


def test_a_machine_that_slows_down_between_rounds_moves_no_ratio_of_rounds() -> None:
    assert of_rounds([10.0, 21.0, 30.0], [10.0, 20.0, 30.0]) == 1
    assert math.isnan(of_rounds([], []))
    assert math.isnan(of_rounds([1.0], [0.0]))


def test_a_missed_control_makes_a_run_inconclusive() -> None:
    bars = [Bar("what", 1, "≤", 2)]
    assert Outcome(bars, controls=[Bar("control", 1.02, "≤", 1.03)]).is_conclusive
    found = Outcome(bars, controls=[Bar("control", 1.04, "≤", 1.03)])
    assert (found.holds, found.is_conclusive) == (True, False)
    assert [each["holds"] for each in found.as_json()["controls"]] == [False]
    assert not Outcome(bars, controls=[Bar("control", math.nan, "≤", 1.03)]).is_conclusive


def test_the_figures_of_a_series_are_medians_of_its_windows() -> None:
    one = series("near", window(16_000, cpu_s=1.6), window(20_000, cpu_s=1.8), window(2_000, cpu_s=1.0))
    assert one.median(FIGURES["requests_per_s"]) == 8_000
    assert one.median(FIGURES["cpu_us_per_request"]) == 100
    assert one.median(FIGURES["rss_mb"]) == 50


def test_a_series_that_does_not_count_meets_no_bar() -> None:
    found = {
        name: series(name, window())
        for name in ("ceiling", "near", "shop", "redis", "shop_redis", "cold", "peer", "peer_cold")
    }
    assert ratios(found)["peer_to_ceiling"] == 1
    found["peer"] = series("peer", window(), faults=("3 requests were refused",))
    assert math.isnan(ratios(found)["near_to_peer"])
    assert ratios(found)["cold_to_peer_cold"] == 1
    unmet = [bar.what for bar in bars(found) if "peer" in bar.what and "PostgreSQL" not in bar.what and bar.holds]
    assert unmet == []
    outcome = Outcome(bars=[], series=list(found.values()))
    assert not outcome.holds
    with report.console().capture() as _:
        report.console().print(report.tables(outcome))


def test_the_bars_are_those_of_the_engine_beside_ceiling_and_peer() -> None:
    found = {
        "ceiling": series("ceiling", window(40_000, cpu_s=2)),
        "near": series("near", window(32_000, cpu_s=2, p99_us=9_000)),
        "shop": series("shop", window(20_000)),
        "redis": series("redis", window(14_000)),
        "shop_redis": series("shop_redis", window(7_000)),
        "cold": series("cold", window(5_000)),
        "peer": series("peer", window(3_000, p50_us=20_000)),
        "peer_cold": series("peer_cold", window(2_000)),
    }
    assert all(bar.holds for bar in bars(found))
    found["peer"] = series("peer", window(2_000, p50_us=8_000))  # a straw man, and quick to answer
    assert [bar.what.split(" ")[0] for bar in bars(found) if not bar.holds] == ["p99", "the"]


@pytest.mark.parametrize(("disturbed", "conclusive"), [((0.0, 0.1, 0.9), True), ((0.1, 0.3, 0.4), False)])
def test_ticks_mean_nothing_where_others_had_the_core(disturbed: tuple[float, ...], conclusive: bool) -> None:
    windows = [replace(window(), disturbed=share) for share in disturbed]
    outcome = Outcome(bars=[Bar("what", 2, "≥", 1)], series=[series("peer", *windows)])
    assert (outcome.holds, outcome.is_conclusive) == (True, conclusive)


def test_the_json_has_no_nan() -> None:
    outcome = Outcome(bars=[Bar("what", math.nan, "≥", 1)], series=[series("near", faults=("refused",))])
    written = json.loads(json.dumps(outcome.as_json(), allow_nan=False))
    assert (written["holds"], written["bars"][0]["measured"], written["series"][0]["p50_ms"]) == (False, None, None)


@pytest.mark.parametrize(
    ("measured", "filled", "fault"),
    [
        (Measured(100, 1, 1, 1, broken=0, refused=1), None, "1 requests were refused"),
        (Measured(100, 1, 1, 1, broken=2, refused=0), None, "2 had no answer"),
        (Measured(970, 1, 1, 1, broken=0, refused=0), 970, "asked for twice"),
        (Measured(900, 1, 1, 1, broken=0, refused=0), 800, "only 800 left their sheet"),
    ],
)
def test_what_was_not_measured_as_said_does_not_count(measured: Measured, filled: int | None, fault: str) -> None:
    cold = series("cold")
    cold.once = 1_000
    (found,) = cold.faults_of(measured, filled)
    assert fault in found
    assert not list(cold.faults_of(Measured(900, 1, 1, 1, broken=0, refused=0), 880))


def test_a_core_is_busy_when_it_is_not_idle() -> None:
    assert Busy(20.0, 5.0).share_since(Busy(10.0, 4.0)) == pytest.approx(0.9)
    assert Busy(10.0, 5.0).share_since(Busy(10.0, 5.0)) == 0


def test_the_same_queries_are_asked_in_every_run(tmp_path: Path) -> None:
    queries = catalogue.hot_queries(1_000)
    assert queries == catalogue.hot_queries(1_000)
    assert {query.get("user_location") for query in queries} == set(catalogue.LOCATIONS)
    assert len({query["product_id"] for query in queries}) > 500
    lines = catalogue.write(tmp_path / "queries", queries).read_text().splitlines()
    assert [json.loads(line) for line in lines] == queries
    assert [len(bulk["items"]) for bulk in catalogue.bulks(queries, 400)] == [400, 400, 200]
