"""Become one program of the stack: what the supervisor runs, as `python -m deploy.native.run NAME`."""

import os
import sys

from deploy.native import environment, home, programs, state


def main(name: str) -> None:
    """Replace this process by the program, with the ports, passwords and settings that are kept in the home.

    The environment is built here because supervisord.conf cannot hold every value.
    """
    place = home.locate(os.environ)
    env = environment.of_programs(place, os.environ, environment.load(place))
    launch = programs.launch(name, place, state.load(place), env)
    os.chdir(launch.folder)
    os.execvpe(launch.command[0], launch.command, env)  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    main(sys.argv[1])
