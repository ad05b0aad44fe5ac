"""`python -m deploy.native.run NAME`, which the supervisor runs: becomes one program of the stack."""

import os
import sys

from deploy import home as pricing_home
from deploy.native import environment, programs, state


def main(name: str) -> None:
    """Replace this process by the program, with the ports, passwords and settings that are stored in the home.

    The environment is built here because supervisord.conf cannot hold every value.
    """
    home = pricing_home.locate(os.environ)
    env = environment.of_programs(home, os.environ, environment.load(home))
    launch = programs.launch(name, home, state.load(home), env)
    os.chdir(launch.folder)
    os.execvpe(launch.command[0], launch.command, env)  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    main(sys.argv[1])
