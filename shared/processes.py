"""What a group of processes needs before it starts, and what its members do when their parent is gone."""

import gc
import os
import shutil
import signal
import threading
import time
from pathlib import Path

GARBAGE_THRESHOLDS = (50_000, 10, 5)


def prepare_metrics(home: Path, group: str) -> None:
    """Give a process group an empty folder for its metrics; call before prometheus_client is imported.

    Args:
        home: `PRICING_HOME`.
        group: `api` or `worker`; one folder each, so that a scrape sees its own group only.
    """
    folder = home / "metrics" / group
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, mode=0o700)
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)


def exit_with_parent(grace_s: float) -> None:
    """End this process when its parent dies without telling it; a master killed with -9 leaves no orphans.

    Args:
        grace_s: How long the process may take to end by itself after SIGTERM.
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
    """Spare the garbage collector what is there for good, and let it come less often; call once all is built.

    A price query and a decision make next to nothing that only the collector can free; looking for it at Python's
    usual thresholds took a fifth of a query's time (`just bench`).
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GARBAGE_THRESHOLDS)
