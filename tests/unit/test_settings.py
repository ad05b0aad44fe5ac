"""Settings: read once, checked at start, and wrong ones named."""

from pathlib import Path

import msgspec
import pytest

from shared import settings
from shared.settings import InvalidSettings, Settings


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def load(home: Path, **variables: str) -> Settings:
    return settings.load({"PRICING_HOME": str(home), **variables})


def stack_file(home: Path, text: str) -> None:
    home.mkdir()
    (home / settings.STACK_FILE).write_text(text)


def test_nothing_needs_to_be_set(home: Path) -> None:
    assert load(home) == Settings(home=str(home))
    assert (Settings().port, Settings().home, Settings().trace_read_ratio) == (8000, ".pricing", 0.01)
    assert Settings().trace_write_ratio == 1.0


def test_a_variable_counts(home: Path) -> None:
    found = load(home, PRICING_PORT="9000", PRICING_TRACE_READ_RATIO="0.5", PRICING_FEED_URL="http://feed")
    assert (found.port, found.trace_read_ratio, found.feed_url) == (9000, 0.5, "http://feed")


def test_the_stacks_file_counts_where_the_environment_is_silent(home: Path) -> None:
    stack_file(home, "PRICING_PORT=9001\nPRICING_DATABASE_URL=postgresql://u:p=w@h/d\nOTEL_X=1\n\n")
    found = load(home)
    assert (found.port, found.database_url) == (9001, "postgresql://u:p=w@h/d")


def test_the_environment_wins_over_the_stacks_file(home: Path) -> None:
    stack_file(home, "PRICING_PORT=9001\n")
    assert load(home, PRICING_PORT="9002").port == 9002


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PRICING_PORT", "many"),
        ("PRICING_PORT", "0"),
        ("PRICING_PORT", "65536"),
        ("PRICING_PORT", ""),
        ("PRICING_API_PROCESSES", "0"),
        ("PRICING_WORKER_PROCESSES", "-1"),
        ("PRICING_WORKER_THREADS", "1.5"),
        ("PRICING_CACHE_TTL_S", "0"),
        ("PRICING_CACHE_TTL_S", "nan"),
        ("PRICING_FEED_TIMEOUT_S", "inf"),
        ("PRICING_TRACE_READ_RATIO", "1.01"),
        ("PRICING_TRACE_WRITE_RATIO", "nan"),
        ("PRICING_LOG_FORMAT", "xml"),
        ("PRICING_LOG_LEVEL", "loud"),
        ("PRICING_DRAIN_TIMEOUT_S", "0"),
    ],
)
def test_a_value_that_cannot_be_used_is_refused_by_the_name_of_its_variable(home: Path, name: str, value: str) -> None:
    with pytest.raises(InvalidSettings, match=rf"^{name}: "):
        load(home, **{name: value})


def test_a_wrong_value_in_the_stacks_file_is_named_as_well(home: Path) -> None:
    stack_file(home, "PRICING_PORT=many\n")
    with pytest.raises(InvalidSettings, match=r"^PRICING_PORT: "):
        load(home)


def test_an_unknown_variable_is_refused_with_the_known_ones(home: Path) -> None:
    with pytest.raises(InvalidSettings, match=r"^PRICING_PROT is not a setting") as refused:
        load(home, PRICING_PROT="8000")
    names = {field.encode_name for field in msgspec.structs.fields(Settings)}
    assert all(name in str(refused.value) for name in names)


def test_other_programs_variables_are_left_alone(home: Path) -> None:
    others = {"PATH": "/bin", "OTEL_SERVICE_NAME": "x", "PRICING_TEST_DATA": "data", "PRICING_TEST_WITHOUT": "docker"}
    assert load(home, **others).port == 8000


def test_one_redis_serves_all_roles_unless_they_are_split(home: Path) -> None:
    together = load(home, PRICING_REDIS_URL="redis://one")
    assert {together.redis_for(role) for role in ("cache", "broker", "events")} == {"redis://one"}
    split = load(
        home,
        PRICING_REDIS_URL="redis://one",
        PRICING_CACHE_URL="redis://cache",
        PRICING_BROKER_URL="redis://broker",
        PRICING_EVENTS_URL="redis://events",
    )
    assert [split.redis_for(role) for role in ("cache", "broker", "events")] == [
        "redis://cache",
        "redis://broker",
        "redis://events",
    ]


def test_settings_cannot_be_changed_afterwards(home: Path) -> None:
    with pytest.raises(AttributeError):
        load(home).port = 1  # type: ignore[misc] # that is the point


def test_the_home_is_absolute_wherever_a_process_starts() -> None:
    assert Settings(home="somewhere").home_dir == Path.cwd() / "somewhere"
