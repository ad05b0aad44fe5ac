"""The kinds of stack that run."""

import os

from deploy import home as pricing_home
from deploy.compose import command
from deploy.native import plan


def running() -> list[str]:
    """The kinds of stack that run now: `native`, `docker`."""
    home = pricing_home.locate(os.environ)
    is_native = (home / pricing_home.STATE_FILE).exists() and plan.read(home, os.environ).supervisor.programs()
    return [kind for kind, runs in (("native", is_native), ("docker", command.containers())) if runs]
