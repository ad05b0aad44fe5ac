import subprocess
import sys
from datetime import UTC, datetime, timedelta
from importlib import resources
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.pricing.rulebook import PriceList
from shared.pricing.windows import Edge, instant, window
from tests.support.pricing_examples import PROPERTY

BERLIN = "Europe/Berlin"


@pytest.mark.parametrize(
    ("written", "zone", "expected"),
    [
        ("2026-11-27T00:00:00", BERLIN, "2026-11-26T23:00:00Z"),
        ("2026-07-01T00:00:00", BERLIN, "2026-06-30T22:00:00Z"),
        ("2026-11-27", "UTC", "2026-11-27T00:00:00Z"),
        ("2026-11-27 08:30", "Asia/Kathmandu", "2026-11-27T02:45:00Z"),
        ("2026-07-30T00:00+10:00", BERLIN, "2026-07-29T14:00:00Z"),
        ("2026-07-29T14:00:00Z", "America/New_York", "2026-07-29T14:00:00Z"),
    ],
)
def test_a_time_without_offset_is_read_in_the_zone(written: str, zone: str, expected: str) -> None:
    assert instant(written, zone, "from") == datetime.fromisoformat(expected)


def test_zones_are_those_of_the_pinned_package_and_not_the_machines(tmp_path: Path) -> None:
    """On a machine on which the clocks of Berlin show UTC."""
    there = tmp_path / "Europe" / "Berlin"
    there.parent.mkdir()
    there.write_bytes(resources.files("tzdata.zoneinfo").joinpath("UTC").read_bytes())
    code = "from shared.pricing.windows import instant; print(instant('2026-07-01', 'Europe/Berlin', 'from'))"
    environ = {"PYTHONTZPATH": str(tmp_path)}
    shown = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, check=True, text=True)
    assert shown.stdout == "2026-06-30 22:00:00+00:00\n"


@pytest.mark.parametrize(("edge", "hour"), [("from", 0), ("until", 1)])
def test_a_window_has_both_hours_of_an_ambiguous_time(edge: Edge, hour: int) -> None:
    """On 2026-10-25 at 3:00 the clocks of Berlin go back to 2:00."""
    expected = datetime(2026, 10, 25, hour, 30, tzinfo=UTC)
    assert instant("2026-10-25T02:30:00", BERLIN, edge) == expected


@pytest.mark.parametrize(
    ("written", "zone", "before", "after"),
    [
        ("2026-03-29T02:30:00", BERLIN, "2026-03-29T01:59:59", "2026-03-29T03:00:00"),
        ("2026-03-29T02:00:00", BERLIN, "2026-03-29T01:59:59", "2026-03-29T03:00:00"),
        ("2011-12-30T12:00:00.5", "Pacific/Apia", "2011-12-29T23:59:59", "2011-12-31T00:00:00"),
    ],
)
def test_a_time_that_the_clocks_skip_is_refused_with_both_neighbours(
    written: str, zone: str, before: str, after: str
) -> None:
    with pytest.raises(ValueError, match=rf"^`from` must exist in {zone}.*use {before} or {after}$"):
        instant(written, zone, "from")


@pytest.mark.parametrize("written", ["tomorrow", "20261127", "2026-W48-5", "2026-02-30", "0001-01-01T00:00", ""])
def test_another_form_is_refused(written: str) -> None:
    with pytest.raises(ValueError, match=r"^`until` must be a time such as"):
        instant(written, "Asia/Tokyo", "until")


@pytest.mark.parametrize("zone", ["Mars/Olympus", "", "../etc/passwd", "Europe"])
def test_an_unknown_zone_is_refused(zone: str) -> None:
    with pytest.raises(ValueError, match=r"^`zone` must be an IANA time zone"):
        instant(None, zone, "from")


@pytest.mark.parametrize("until", ["2026-11-27T00:00:00+01:00", "2026-11-26"])
def test_a_window_that_does_not_end_after_its_start_is_refused(until: str) -> None:
    part = PriceList(id="a", kind="sale", from_="2026-11-26T23:00:00Z", until=until)
    with pytest.raises(ValueError, match=r"^`until` must be after from"):
        window(part)


@PROPERTY
@given(st.datetimes(datetime(1980, 1, 1), datetime(2035, 1, 1)), st.sampled_from([BERLIN, "America/Sao_Paulo"]))
def test_each_time_is_an_instant_or_refused_and_the_end_is_never_the_earlier_one(time: datetime, zone: str) -> None:
    try:
        first = instant(time.isoformat(), zone, "from")
    except ValueError as error:
        assert "clocks skip" in str(error)
        return
    last = instant(time.isoformat(), zone, "until")
    assert first is not None
    assert last is not None
    assert first <= last <= first + timedelta(hours=2)
