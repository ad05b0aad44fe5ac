"""The export of spans: as files of JSON lines, and with bounds and log lines for any exporter."""

import gc
import os
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import structlog
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from shared.telemetry import otlp_json
from shared.telemetry.metrics import SPANS_LOST

log = structlog.get_logger(__name__)

EXPORT_TIMEOUT_S = 1
EXPORT_EVERY_MS = 1_000
# At shutdown exports start within this time and take EXPORT_TIMEOUT_S at most: together less than 2 s.
FLUSH_WITHIN_S = 0.8

FILE_BYTES = 4_000_000
FOLDER_BYTES = 64_000_000


class FileSpanExporter(SpanExporter):
    """Writes spans as OTLP JSON lines, one file per process; the oldest files of the folder are deleted.

    A line is a `TracesData` document of OTLP's file format, with ids in hex. At 4 MB a process starts a new file. All
    files of all processes take 64 MB at most, plus one batch.
    """

    def __init__(self, folder: Path, service: str) -> None:
        self._folder, self._service = folder, service
        self._path = self._next_path()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Append a line."""
        try:
            self._append(otlp_json.encode(spans))
            self._prune()
        except OSError:
            return SpanExportResult.FAILURE
        return SpanExportResult.SUCCESS

    def _append(self, line: bytes) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Opened anew for each batch: another process may have pruned the file.
        with os.fdopen(os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as file:
            file.write(line)
            is_full = file.tell() >= FILE_BYTES
        if is_full:
            self._path = self._next_path()

    def _next_path(self) -> Path:
        return self._folder / f"{self._service}-{os.getpid()}-{time.time_ns()}.jsonl"

    def _prune(self) -> None:
        kept = 0
        for path in sorted(self._folder.glob("*.jsonl"), key=_changed_at, reverse=True):
            with suppress(FileNotFoundError):
                kept += path.stat().st_size
                if kept > FOLDER_BYTES:
                    path.unlink()


class BoundedSpanProcessor(BatchSpanProcessor):
    """Exports spans in the background. At most 2,048 spans wait; further ones are dropped.

    One log line marks the first failed export, one the next success. `shutdown` takes less than 2 s.
    """

    def __init__(self, exporter: SpanExporter, to: str) -> None:
        self._logged = _LoggedExporter(exporter, to)
        super().__init__(self._logged, schedule_delay_millis=EXPORT_EVERY_MS)

    def shutdown(self) -> None:
        """Export the waiting spans, as far as the time allows."""
        self._logged.end_within(FLUSH_WITHIN_S)
        super().shutdown()  # type: ignore[no-untyped-call] # the SDK has no type here


class _LoggedExporter(SpanExporter):
    """Logs when another exporter starts to fail and when it works again."""

    def __init__(self, exporter: SpanExporter, to: str) -> None:
        self._exporter, self._to = exporter, to
        self._fails = False
        self._end_at = float("inf")

    def end_within(self, seconds: float) -> None:
        """Start no export after this time, and none after a failure."""
        self._end_at = time.monotonic() + seconds

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Export spans, unless the time is over."""
        ends = self._end_at < float("inf")
        if ends and (self._fails or time.monotonic() > self._end_at):
            return SpanExportResult.FAILURE
        result = self._exporter.export(spans)
        fails = result is not SpanExportResult.SUCCESS
        if fails and not self._fails:
            log.warning("spans cannot be exported, they are dropped until that works again", to=self._to)
        elif self._fails and not fails:
            log.info("spans are exported again", to=self._to)
        self._fails = fails
        if fails:
            SPANS_LOST.inc(len(spans))
            # The transport's error and its traceback reference each other, and with them the whole batch.
            gc.collect(0)
        return result

    def shutdown(self) -> None:
        """Shut down the other exporter."""
        self._exporter.shutdown()


def _changed_at(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0
