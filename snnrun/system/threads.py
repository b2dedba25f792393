"""How the threads that torch computes on wait for each other, and how many of them a network is worth.

OpenMP's threads spin for a while before they sleep, so as to be there for the next piece of work. On a machine where
anything else runs, a spinning thread holds the processor that the thread it waits for needs: a run becomes 5 to 80
times slower. Here they sleep at once. An OpenMP runtime reads its environment once, when it is loaded, so this module
imports nothing heavy and :mod:`snnrun` calls it first.
"""

from __future__ import annotations

import os
import sys
from collections.abc import MutableMapping

#: What makes waiting threads sleep: of every OpenMP runtime, and of Intel's and LLVM's, which have a time instead.
SLEEP = {"OMP_WAIT_POLICY": "PASSIVE", "KMP_BLOCKTIME": "0"}

#: Variables by which a user says how threads wait.
OWN = (*SLEEP, "GOMP_SPINCOUNT")

#: Multiply-adds of a training step's forward pass that are worth a thread; below that, waking it costs more.
WORTH = 1 << 25


def sleep_while_waiting(environ: MutableMapping[str, str] = os.environ) -> bool:
    """Have threads sleep while they wait, unless the user has said how they wait; returns whether they will.

    A user's ``KMP_BLOCKTIME`` is for Intel's and LLVM's runtimes, and GNU's does not read it; ``GOMP_SPINCOUNT`` the
    other way round. So either leaves the other runtimes to sleep. Too late where torch is loaded already: then nothing
    is set, lest the environment say what is not so.
    """
    if "OMP_WAIT_POLICY" in environ or "torch" in sys.modules:
        return environ.get("OMP_WAIT_POLICY", "").upper() == "PASSIVE"
    if "KMP_BLOCKTIME" in environ or "GOMP_SPINCOUNT" in environ:
        environ.setdefault("KMP_BLOCKTIME", "0")
        environ.setdefault("GOMP_SPINCOUNT", "0")
        return False
    environ.update(SLEEP)
    return True


def worth(multiply_adds: float, most: int) -> int:
    """How many threads, at least 1 and at most ``most``, a training step of so many multiply-adds is worth."""
    return max(1, min(most, int(multiply_adds // WORTH)))
