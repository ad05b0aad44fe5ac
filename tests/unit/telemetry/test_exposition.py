"""The scrape of a process group, whose processes start and end meanwhile."""

import os
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.mmap_dict import MmapedDict, mmap_key

from shared.telemetry.exposition import MultiprocessCollector

# The library has no types.
METRICS_FILE: Any = MmapedDict

# Larger than any process id that Linux gives.
NOBODY = 2**22 + 1


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    return tmp_path


def wrote(folder: Path, name: str, metric: str, value: float) -> None:
    """What a process of the group wrote into the file of this name."""
    file = METRICS_FILE(str(folder / name))
    file.write_value(mmap_key(metric, metric, [], [], "A metric."), value, 0.0)
    file.close()


def scraped() -> str:
    registry = CollectorRegistry()
    registry.register(MultiprocessCollector())
    return generate_latest(registry).decode()


def test_counters_of_all_processes_are_added_up_those_that_ended_too(folder: Path) -> None:
    wrote(folder, f"counter_{os.getpid()}.db", "seen_total", 2.0)
    wrote(folder, f"counter_{NOBODY}.db", "seen_total", 3.0)
    assert "seen_total 5.0" in scraped()


def test_the_gauge_of_a_process_that_ended_is_left_out_and_its_file_removed(folder: Path) -> None:
    wrote(folder, f"gauge_livesum_{os.getpid()}.db", "live", 1.0)
    wrote(folder, f"gauge_livesum_{NOBODY}.db", "live", 1.0)
    assert "live 1.0" in scraped()
    assert [path.name for path in folder.iterdir()] == [f"gauge_livesum_{os.getpid()}.db"]


def test_a_file_that_a_starting_process_has_just_created_is_left_out(folder: Path) -> None:
    wrote(folder, f"counter_{os.getpid()}.db", "seen_total", 2.0)
    (folder / "counter_1.db").touch()
    assert "seen_total 2.0" in scraped()
