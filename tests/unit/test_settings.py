"""Settings: read once, checked at start, and wrong ones named."""

from pathlib import Path

import msgspec
import pytest

from shared import settings
from shared.postgres.leases import LEASE_S
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


@pytest.mark.parametrize("origins", ["", "*", "https://a.example.com", "http://localhost:3000, https://[::1]:8443"])
def test_origins_are_taken_as_browsers_send_them(home: Path, origins: str) -> None:
    assert load(home, PRICING_CORS_ORIGINS=origins).cors_origins == origins


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
    assert "did you mean PRICING_PORT?" in str(refused.value)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("PRICING_LOG_LEVEL", "loud", "must be debug, info, warning or error"),
        ("PRICING_PORT", "web", "must be a whole number, not text"),
        ("PRICING_PORT", "70000", "must be a whole number of at most 65535"),
    ],
)
def test_a_wrong_value_is_refused_in_words(home: Path, name: str, value: str, words: str) -> None:
    with pytest.raises(InvalidSettings) as refused:
        load(home, **{name: value})
    assert str(refused.value) == f"{name}: {words}"


def test_other_programs_variables_are_left_alone(home: Path) -> None:
    others = {"PATH": "/bin", "OTEL_SERVICE_NAME": "x", "PRICING_TEST_DATA": "data", "PRICING_TEST_WITHOUT": "docker"}
    assert load(home, **others).port == 8000


def test_one_redis_serves_all_roles_unless_they_are_split(home: Path) -> None:
    together = load(home, PRICING_REDIS_URL="redis://one")
    assert {together.redis_for(role) for role in ("cache", "events")} == {"redis://one"}
    assert together.redis_for("broker") == "redis://one/1"
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


@pytest.mark.parametrize(
    ("address", "following"),
    [
        ("redis://:p%40s@h:6379/0", "redis://:p%40s@h:6379/1"),
        ("rediss://u:p@h:6380/3?ssl_cert_reqs=none", "rediss://u:p@h:6380/4?ssl_cert_reqs=none"),
        ("unix:///run/redis.sock", "unix:///run/redis.sock?db=1"),
        ("redis://h/0?db=2", "redis://h/0?db=3"),
    ],
)
def test_the_broker_has_the_next_database_by_default(home: Path, address: str, following: str) -> None:
    found = load(home, PRICING_REDIS_URL=address)
    assert found.redis_for("broker") == following
    assert not found.broker_shares_database
    assert load(home, PRICING_REDIS_URL=address, PRICING_BROKER_URL=address).broker_shares_database


def test_settings_cannot_be_changed_afterwards(home: Path) -> None:
    with pytest.raises(AttributeError):
        load(home).port = 1  # type: ignore[misc] # that is the point


def test_the_home_is_absolute_wherever_a_process_starts() -> None:
    assert Settings(home="somewhere").home_dir == Path.cwd() / "somewhere"


SECRET = "correct-horse"
KEY = "n8Zt4Wq1Lr7Vb2Xc9Kd3Mf6Hs5Gj0PyQa"


@pytest.mark.parametrize(
    "address",
    [
        "postgres://u:p@h/d",
        "postgresql://u:p%2Fq@h:5432/d?sslmode=require",
        "postgresql://u@one:5432,two:5433/d?target_session_attrs=read-write",
        "postgresql:///d?host=/run/postgresql",
        "host=h port=5432 user=u password='a b' dbname=d",
    ],
)
def test_the_database_is_named_in_every_form_that_libpq_reads(home: Path, address: str) -> None:
    assert load(home, PRICING_DATABASE_URL=address).database_url == address


@pytest.mark.parametrize(
    "address",
    ["redis://h", "redis://:p@h:6379/1", "rediss://u:p@h:6380/0", "unix:///run/redis.sock?db=1", "redis://[::1]"],
)
def test_redis_is_named_in_every_form_that_its_driver_reads(home: Path, address: str) -> None:
    names = ("PRICING_REDIS_URL", "PRICING_CACHE_URL", "PRICING_BROKER_URL", "PRICING_EVENTS_URL")
    found = load(home, **dict.fromkeys(names, address))
    assert {found.redis_url, *map(found.redis_for, ("cache", "broker", "events"))} == {address}


@pytest.mark.parametrize(
    ("name", "values"),
    [
        (
            "PRICING_DATABASE_URL",
            (
                "", "postgresql://", "mysql://u:{}@h/d", "postgresql://u:{}%zz@h/d", "postgresql://u:{}/x@h/d",
                "postgresql://u:{}@h:99999/d", "postgresql://u:{}@h/d?colour=red", "host=h port=x password={}", "{}",
                "postgresql://u:{}@one,two/d?target_session_attrs=prefer-standby",
            ),
        ),
        (
            "PRICING_REDIS_URL",
            (
                "", "http://:{}@h", "redis://", "redis://:{}@", "redis://:{}@h:0", "redis://:{}@h:99999",
                "redis://:{}@h/zero", "redis://:{}@h?colour=red", "redis://:{}@h?socket_timeout=x", "redis://:{}@ h",
                "unix://", "{}",
            ),
        ),
        ("PRICING_BROKER_URL", ("http://:{}@h",)),
        ("PRICING_FEED_URL", ("feed/{}", "ftp://u:{}@h", "http://", "http://u:{}@h:99999", "http://u:{}@h/a b")),
        (
            "PRICING_CORS_ORIGINS",
            ("shop.example.com", "https://Shop.example.com", "https://shop.example.com/", "https://a,", "*,https://a"),
        ),
        ("PRICING_HOST", ("", "localhost", "0.0.0.0:8000", "fe80::1%{}", "127.0.0.1 ", "1.2.3")),
        ("PRICING_ADMIN_KEY", ("a", "{}", "a" * 40, KEY + " x", KEY + "\x1b", KEY + "é")),
        ("PRICING_CACHE_TTL_S", ("0.0001", "0.5", "86401")),
        ("PRICING_FEED_TIMEOUT_S", ("0.001", "6.1")),
        ("PRICING_FEED_KEY", ("two words {}", "{}\n", "{}ä")),
        ("PRICING_FEED_EVERY_S", ("-1", "86401", "60")),
        ("PRICING_NEAR_CACHE_BYTES", ("-1", "9" * 18)),
    ],
)  # fmt: skip
def test_nonsense_is_refused_by_name_and_never_printed(home: Path, name: str, values: tuple[str, ...]) -> None:
    for value in values:
        with pytest.raises(InvalidSettings, match=rf"^{name}: ") as refused:
            load(home, **{name: value.format(SECRET)})
        assert SECRET not in str(refused.value), value


def test_a_weak_admin_key_is_refused_with_the_way_to_a_good_one(home: Path) -> None:
    assert load(home, PRICING_ADMIN_KEY=KEY).admin_key == KEY
    with pytest.raises(InvalidSettings, match="openssl rand -hex 32"):
        load(home, PRICING_ADMIN_KEY=KEY[:31])


def test_threads_of_all_worker_processes_are_bounded(home: Path) -> None:
    with pytest.raises(InvalidSettings, match=r"PRICING_WORKER_THREADS: .* PRICING_WORKER_PROCESSES"):
        load(home, PRICING_WORKER_PROCESSES="256", PRICING_WORKER_THREADS="256")


def test_the_longest_request_to_the_feed_leaves_half_of_a_workers_lease(home: Path) -> None:
    assert load(home, PRICING_FEED_TIMEOUT_S=str(LEASE_S / 2)).feed_timeout_s == LEASE_S / 2
    with pytest.raises(InvalidSettings, match=r"^PRICING_FEED_TIMEOUT_S: "):
        load(home, PRICING_FEED_TIMEOUT_S=str(LEASE_S / 2 + 0.1))


def test_a_level_counts_in_either_case(home: Path) -> None:
    found = load(home, PRICING_LOG_LEVEL="INFO", PRICING_LOG_FORMAT="Console")
    assert (found.log_level, found.log_format) == ("info", "console")


def test_the_variables_that_kubernetes_adds_are_passed_over(home: Path) -> None:
    stack_file(home, "PRICING_PORT=9001\n")
    added = {
        "PRICING_SERVICE_HOST": "10.0.0.1",
        "PRICING_SERVICE_PORT": "8000",
        "PRICING_SERVICE_PORT_HTTP": "8000",
        "PRICING_PORT": "tcp://10.0.0.1:8000",
        "PRICING_PORT_8000_TCP": "tcp://10.0.0.1:8000",
        "PRICING_PORT_8000_TCP_PROTO": "tcp",
        "PRICING_PORT_8000_TCP_PORT": "8000",
        "PRICING_PORT_8000_TCP_ADDR": "10.0.0.1",
        "PRICING_API_PORT": "tcp://10.0.0.2:8000",
        "PRICING_API_SERVICE_HOST": "10.0.0.2",
        "PRICING_WORKER_METRICS_PORT": "tcp://10.0.0.3:9191",
    }
    found = load(home, **added)
    assert (found.port, found.worker_metrics_port) == (9001, 9191)


def test_an_empty_home_is_the_default_one() -> None:
    assert settings.load({"PRICING_HOME": ""}).home == ".pricing"


def test_every_value_has_its_origin(home: Path) -> None:
    stack_file(home, "PRICING_PORT=9001\nPRICING_LOG_LEVEL=debug\n")
    found = settings.sources({"PRICING_HOME": str(home), "PRICING_PORT": "9002"})
    assert found["PRICING_PORT"] == ("9002", "environment")
    assert found["PRICING_LOG_LEVEL"] == ("debug", "stack.env")
    assert "PRICING_HOST" not in found


def test_a_certificate_without_its_key_is_refused(home: Path, tmp_path: Path) -> None:
    certificate = tmp_path / "server.pem"
    certificate.write_text("")
    with pytest.raises(InvalidSettings, match="PRICING_TLS_KEY"):
        load(home, PRICING_TLS_CERTIFICATE=str(certificate))
    with pytest.raises(InvalidSettings, match="PRICING_TLS_KEY: must be a file"):
        load(home, PRICING_TLS_CERTIFICATE=str(certificate), PRICING_TLS_KEY=str(tmp_path / "none"))
