"""Runs one piece of work on several threads, as many as torch uses."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait

import torch

#: Below this many elements a second thread costs more than it saves.
WORTH = 1 << 15


def spread(work: Callable[[int, int], None], lanes: int, elements: int, unit: int = 1) -> None:
    """Call ``work(low, high)`` for ranges that make up ``[0, lanes)``, on ``torch.get_num_threads()`` threads.

    ``work`` must let go of Python's lock to run beside itself. Ranges begin at multiples of ``unit``. The threads are
    Python's own: unlike an OpenMP pool they survive a fork, and unlike numba's simple pool, several callers at once.
    """
    threads = min(torch.get_num_threads(), max(1, elements // WORTH), -(-lanes // unit))
    if threads < 2:
        work(0, lanes)
        return
    each = -(-lanes // threads)
    size = -(-each // unit) * unit
    ranges = [(low, min(low + size, lanes)) for low in range(0, lanes, size)]
    others = [_pool(os.getpid(), threads).submit(work, *part) for part in ranges[1:]]
    try:
        work(*ranges[0])
    finally:
        wait(others)  # nobody may still be writing when the caller goes on
    for other in others:
        other.result()


@functools.lru_cache(maxsize=2)
def _pool(process: int, threads: int) -> ThreadPoolExecutor:
    # By process, since a fork leaves the threads behind.
    return ThreadPoolExecutor(threads, thread_name_prefix="snnrun")
