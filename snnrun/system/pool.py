"""Runs a piece of work on as many threads as torch uses, if possible on torch's own threads.

Torch's operations run on a team of OpenMP threads that stay awake for a while after each operation. Other threads would
share the processors with them, and took twice as long. So the work runs on the same team. A team does not survive a
fork: a forked child, and a torch with another runtime, use Python threads.
"""

from __future__ import annotations

import ctypes
import functools
import os
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import torch

#: Below this many elements a second thread costs more than it saves.
WORTH = 1 << 15

#: The process that loaded this module: a forked child has its memory, but not its threads.
LOADED_BY = os.getpid()

Work = Callable[[int, int], None]


def spread(work: Work, lanes: int, elements: int, unit: int = 1) -> None:
    """Call ``work(low, high)`` for ranges that cover ``[0, lanes)``, on ``torch.get_num_threads()`` threads.

    ``work`` must release Python's lock to run in parallel. Ranges begin at multiples of ``unit``. Several threads may
    call this at once, and so may a forked child.
    """
    threads = min(torch.get_num_threads(), max(1, elements // WORTH), -(-lanes // unit))
    if threads < 2:
        work(0, lanes)
        return
    each = -(-lanes // threads)
    size = -(-each // unit) * unit
    ranges = [(low, min(low + size, lanes)) for low in range(0, lanes, size)]
    team = _team() if os.getpid() == LOADED_BY else None
    if team is None:
        _on_own_threads(work, ranges)
    else:
        team.run(work, ranges)


class _Team:
    """The threads of torch's OpenMP runtime, through the entry point for compilers."""

    Body = ctypes.CFUNCTYPE(None, ctypes.c_void_p)

    def __init__(self, library: ctypes.CDLL) -> None:
        self._parallel: Any = library.GOMP_parallel
        self._parallel.argtypes = (self.Body, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint)
        self._parallel.restype = None

    def run(self, work: Work, ranges: list[tuple[int, int]]) -> None:
        remaining, errors = deque(ranges), list[BaseException]()

        def body(_: int | None) -> None:
            # The runtime may provide fewer threads than requested, so each takes ranges until none is left.
            while remaining:
                try:
                    low, high = remaining.popleft()
                except IndexError:  # another was faster
                    return
                try:
                    work(low, high)
                except BaseException as error:  # the runtime would swallow it
                    errors.append(error)

        self._parallel(self.Body(body), None, len(ranges), 0)
        if errors:
            raise errors[0]


@functools.lru_cache(maxsize=1)
def _team() -> _Team | None:
    folder = Path(torch.__file__).parent / "lib"
    for name in (*map(str, sorted(folder.glob("libgomp*.so*"))), "libgomp.so.1"):
        try:
            return _Team(ctypes.CDLL(name, mode=os.RTLD_NOLOAD))  # only if already loaded, by torch
        except (OSError, AttributeError):
            continue
    return None


def _on_own_threads(work: Work, ranges: list[tuple[int, int]]) -> None:
    others = [_pool(os.getpid(), len(ranges)).submit(work, *part) for part in ranges[1:]]
    try:
        work(*ranges[0])
    finally:
        wait(others)  # no thread may still write when the caller goes on
    for other in others:
        other.result()


@functools.lru_cache(maxsize=2)
def _pool(process: int, threads: int) -> ThreadPoolExecutor:
    # By process, since a forked child has no threads.
    return ThreadPoolExecutor(threads, thread_name_prefix="snnrun")
