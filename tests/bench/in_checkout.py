"""Run as a script in any checkout: its API process with servers of its own, until the input ends.

It writes the id of the process and its address, and uses only what the benchmarks of all versions have.
"""

import json
import sys

from tests.bench import arena
from tests.bench.cores import Cores

if __name__ == "__main__":
    server, others = map(int, sys.argv[1:])
    with arena.opened(Cores(server, others, {}), 0) as place, place.engine("api") as engine:
        sys.stdout.write(json.dumps([engine.family[0].pid, engine.url]) + "\n")
        sys.stdout.flush()
        sys.stdin.read()
