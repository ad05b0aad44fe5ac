"""Processes: what each does once at its start: metrics, structs, the end with its parent, the garbage collector."""

import gc
import os
import shutil
import signal
import threading
import time
from contextlib import suppress
from pathlib import Path

import msgspec

GARBAGE_THRESHOLDS = (50_000, 10, 5)


def prepare_metrics(home: Path, group: str) -> None:
    """Give a process group an empty folder for its metrics; call before prometheus_client is imported.

    Args:
        home: `PRICING_HOME`.
        group: `api` or `worker`; one folder each, so that a scrape reads only its own group.
    """
    folder = home / "metrics" / group
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, mode=0o700)
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)


def prepare_structs() -> None:
    """Build the decoders of all imported structs; call it before there are threads that decode.

    msgspec builds a struct's decoder at its first use, and shows it to other threads half built. Of two threads that
    decode a nested struct for the first time at once, one reads a null pointer, and the process dies (msgspec 0.22).
    It takes some 20 ms.
    """
    waiting = [msgspec.Struct]
    for struct in waiting:
        waiting += struct.__subclasses__()
        # A struct that msgspec cannot decode is none that threads decode.
        with suppress(TypeError, NameError):
            msgspec.json.Decoder(struct)


def exit_with_parent(grace_s: float) -> None:
    """End this process when its parent is gone: a main process that is killed by SIGKILL leaves no orphans.

    Args:
        grace_s: The time for the process to end by itself after SIGTERM.
    """
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(grace_s)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()


def freeze_gc() -> None:
    """Exclude all existing objects from garbage collection, and make it rarer; call once all is built.

    A price query and a decision create almost no garbage that only the collector can free. With Python's usual
    thresholds collections took a fifth of a query's time (`just bench`).
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GARBAGE_THRESHOLDS)
