"""Compiles Python for the CPU with numba."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba

from snnrun.system.cache import cache_dir


def compile_cached(function: Callable[..., Any]) -> Callable[..., Any]:
    """``function``, compiled at its first call, without Python's lock, and stored in the user's cache, if there is one.

    numba stores pickles too, so the cache is in a folder where nobody else can write, not beside the source.
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


def cache_is_empty() -> bool:
    """True if nothing is stored yet, so that the first use of compiled functions takes some seconds."""
    folder = _folder()
    return folder is None or next(folder.rglob("*.nbi"), None) is None


def _folder() -> Path | None:
    folder = cache_dir()
    return None if folder is None else folder / "numba"
