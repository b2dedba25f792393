"""The folder of this user in which snnrun keeps what it can find out again."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def cache_dir() -> Path | None:
    """``$SNNRUN_CACHE_DIR``, else ``$XDG_CACHE_HOME/snnrun``, else ``~/.cache/snnrun``; made if need be.

    None where it cannot be written: then do without.
    """
    if given := os.environ.get("SNNRUN_CACHE_DIR"):
        folder = Path(given)
    else:
        # The specification of XDG: a path that is not absolute is to be ignored.
        base = Path(os.environ.get("XDG_CACHE_HOME") or "")
        try:
            folder = (base if base.is_absolute() else Path.home() / ".cache") / "snnrun"
        except RuntimeError:  # no home
            return None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError:
        return None
