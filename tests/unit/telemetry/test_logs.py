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


HOSTILE = r"""
import logging
import structlog
from shared import settings
from shared.telemetry import logs
logs.configure("pricing-test", settings.load())
text = "P-1\x1b[2J\r\n2026-11-26T00:00:00Z [info] forged\u202e\x9b31m"
log = structlog.get_logger("test")
log.warning(text, product_id=text, ids=[text])
logging.getLogger("somebody.else").warning("slow %s", text)
def fail(secret_word):
    raise ValueError(text)
try:
    fail("correct-horse")
except ValueError:
    log.exception("unforeseen error")
"""


def said(code: str = CODE, **settings: str) -> list[str]:
    """What a process with these settings says."""
    environ: Mapping[str, str] = {n: v for n, v in os.environ.items() if not n.startswith("PRICING_")} | settings
    done = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True)
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


def test_text_from_outside_forges_no_line_and_moves_no_cursor() -> None:
    lines = said(HOSTILE, PRICING_LOG_FORMAT="console")
    assert all(line.isprintable() for line in lines)
    assert not [line for line in lines if line.startswith("2026-11-26T00:00:00Z")]
    assert sum(not line.startswith("  ") for line in lines) == 3
    assert [json.loads(line)["level"] for line in said(HOSTILE)] == ["warning", "warning", "error"]


def test_a_stack_trace_shows_no_values_of_variables() -> None:
    for form in ("console", "json"):
        text = "\n".join(
            said(
                HOSTILE.replace('fail("correct-horse")', "fail(hidden)").replace(
                    "try:", 'hidden = "correct" + "-horse"\ntry:', 1
                ),
                PRICING_LOG_FORMAT=form,
            )
        )
        assert "Traceback" in text
        assert "correct-horse" not in text
