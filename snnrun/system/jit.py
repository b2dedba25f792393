"""Python compiled for the CPU by numba."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba

from snnrun.system.cache import cache_dir


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """``function`` compiled at its first call, free of Python's lock, and kept in the user's cache, if there is one.

    What is kept is numba's own, pickles included: so it lies where nobody else can write, and not beside the source.
    """
    folder = _folder()
    if folder is None:
        return numba.njit(function, nogil=True, error_model="numpy")
    settings: Any = numba.config
    before, settings.CACHE_DIR = settings.CACHE_DIR, str(folder)
    try:  # numba reads the setting here, once for each function
        return numba.njit(function, nogil=True, error_model="numpy", cache=True)
    finally:
        settings.CACHE_DIR = before


def nothing_kept() -> bool:
    """Whether the first use of what is compiled will take some seconds, since nothing is kept of it yet."""
    folder = _folder()
    return folder is None or next(folder.rglob("*.nbi"), None) is None


def _folder() -> Path | None:
    folder = cache_dir()
    return None if folder is None else folder / "numba"
