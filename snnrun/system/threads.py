"""The waiting of torch's threads, and the number of threads for a network.

OpenMP's threads spin for a while before they sleep, to be ready for the next piece of work. On a busy machine a
spinning thread occupies the processor that another thread needs: a run becomes 5 to 80 times slower. Here they sleep at
once. An OpenMP runtime reads its environment once, when it is loaded, so this module imports nothing heavy and
:mod:`snnrun` calls it first.
"""

from __future__ import annotations

import os
import sys
from collections.abc import MutableMapping

#: Variables that make waiting threads sleep: of every OpenMP runtime, and of Intel's and LLVM's.
SLEEP = {"OMP_WAIT_POLICY": "PASSIVE", "KMP_BLOCKTIME": "0"}

#: Variables of a user for the waiting of threads.
OWN = (*SLEEP, "GOMP_SPINCOUNT")

#: Multiply-adds of a training step's forward pass per thread; with less work, waking it costs more.
WORTH = 1 << 25


def sleep_while_waiting(environ: MutableMapping[str, str] = os.environ) -> bool:
    """Let threads sleep while they wait, unless the user has chosen otherwise. Returns True if they will.

    A user's ``KMP_BLOCKTIME`` applies to Intel's and LLVM's runtimes, ``GOMP_SPINCOUNT`` to GNU's; the other runtimes
    then sleep. If torch is already loaded it is too late, and nothing is set, so that the environment stays true.
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
    """The number of threads, from 1 to ``most``, for a training step of ``multiply_adds``."""
    return max(1, min(most, int(multiply_adds // WORTH)))
