"""Python compiled for the CPU by numba."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """``function`` compiled at its first call, free of Python's lock, and kept on disk where that can be written."""
    try:
        return numba.njit(function, nogil=True, error_model="numpy", cache=True)
    except RuntimeError:  # neither the folder of the source nor any of the user's can be written
        return numba.njit(function, nogil=True, error_model="numpy")
