"""The end of a program with servers of its own: they end with it, whoever ends it."""

import signal
import sys
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def ends_once() -> None:
    """End with SystemExit by Ctrl-C or SIGTERM, code 130 or 143; another such signal does not cut the end short."""
    for one in _SIGNALS:
        signal.signal(one, _end)


def _end(number: int, _: FrameType | None) -> None:
    for one in _SIGNALS:
        signal.signal(one, signal.SIG_IGN)
    sys.exit(128 + number)
