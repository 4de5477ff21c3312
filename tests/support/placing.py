"""An engine's placer in a process of its own: ``python placing.py ROOT NAME JOURNAL churn|hold``.

*churn*: places and gives back instances of one CPU, again and again, in a group of four that others want,
too. The journal gets a ``+`` after each place and a ``-`` before each is given back, so at no moment do its
lines say more than is placed. *hold*: takes all four, says so on stdout, and stays until it is killed.
"""

from __future__ import annotations

import os
import random
import sys
from pathlib import Path

from eas_engine.spec.engine.pools import pools_of
from eas_engine.state import StateDirectory
from eas_engine.supervisor.place import Limits, Place, Wishes
from eas_engine.supervisor.pools.ledger import Ledger
from support.pools import machine
from support.wishes import Wishing

CPUS = 4
ROUNDS = 300


def placer_of(root: Path, name: str) -> Wishing:
    pools = pools_of(machine(8, {"fast": f"0-{CPUS - 1}"}))
    return Wishing(pools, Ledger(root, name), Wishes(resource="fast"))


def churn(placer: Wishing, name: str, journal: int) -> None:
    chance = random.Random(name)
    for _ in range(ROUNDS):
        instance = f"{name}-{chance.randrange(CPUS)}"
        if instance in {one.instance for one in placer.claims}:
            os.write(journal, b"-\n")
            placer.leave(instance)
        elif isinstance(placer.place(instance, Limits(cpu=1)), Place):
            os.write(journal, b"+\n")
    for _ in placer.claims:
        os.write(journal, b"-\n")


def main(root: Path, name: str, journal: Path, what: str) -> None:
    with StateDirectory.acquire(root, name):
        placer = placer_of(root, name)
        if what == "hold":
            print(all(isinstance(placer.place(f"{name}-{one}", Limits(cpu=1)), Place) for one in range(CPUS)))
            sys.stdout.flush()
            sys.stdin.read()
            return
        print("ready", flush=True)
        sys.stdin.readline()  # so that all begin together
        file = os.open(journal, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        churn(placer, name, file)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), sys.argv[4])
