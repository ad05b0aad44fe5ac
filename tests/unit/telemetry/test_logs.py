"""Log lines: JSON in production, readable in a terminal, each with the trace that it belongs to."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

CODE = """
import logging
import structlog
from opentelemetry.sdk.trace import TracerProvider
from shared import settings
from shared.telemetry import logs
logs.configure("pricing-test", settings.load())
log = structlog.get_logger("test")
with TracerProvider().get_tracer("test").start_as_current_span("work"):
    log.info("price decided", product_id="P-1")
log.debug("not worth it")
logging.getLogger("somebody.else").warning("slow %s", "disk")
try:
    raise ValueError("no")
except ValueError:
    log.exception("unforeseen error")
"""


def said(**settings: str) -> list[str]:
    """What a process with these settings says."""
    environ: Mapping[str, str] = {n: v for n, v in os.environ.items() if not n.startswith("PRICING_")} | settings
    done = subprocess.run([sys.executable, "-c", CODE], env=environ, capture_output=True, text=True, check=True)
    return done.stderr.splitlines()


def test_each_line_is_a_json_document_of_its_own() -> None:
    lines: list[dict[str, Any]] = [json.loads(line) for line in said()]
    assert [line["event"] for line in lines] == ["price decided", "slow disk", "unforeseen error"]
    assert [line["level"] for line in lines] == ["info", "warning", "error"]
    assert {line["service"] for line in lines} == {"pricing-test"}
    assert all(line["timestamp"].endswith("Z") for line in lines)


def test_a_line_within_a_trace_names_it() -> None:
    first, second, _ = (json.loads(line) for line in said())
    assert len(first["trace_id"]) == 32
    assert first["product_id"] == "P-1"
    assert "trace_id" not in second


def test_a_stack_trace_is_said_once_within_its_line() -> None:
    text = "\n".join(said())
    assert text.count("Traceback") == 1
    assert "ValueError: no" in json.loads(text.splitlines()[-1])["exception"]


def test_people_get_lines_without_braces() -> None:
    first, *_ = said(PRICING_LOG_FORMAT="console")
    assert "price decided" in first
    assert "{" not in first


def test_the_level_is_a_setting() -> None:
    assert any("not worth it" in line for line in said(PRICING_LOG_LEVEL="debug"))
