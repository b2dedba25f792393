"""The user's cache folder of snnrun: measurements of this machine, as JSON. Nothing in it is executed."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def cache_dir() -> Path | None:
    """``$SNNRUN_CACHE_DIR``, else ``$XDG_CACHE_HOME/snnrun``, else ``~/.cache/snnrun``; created if needed.

    None if nothing can be written there.
    """
    folder = _configured_folder()
    if folder is None:
        return None
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError:
        return None


def _configured_folder() -> Path | None:
    if path := os.environ.get("SNNRUN_CACHE_DIR"):
        return Path(path)
    # XDG: a path that is not absolute must be ignored.
    base = Path(os.environ.get("XDG_CACHE_HOME") or "")
    try:
        return (base if base.is_absolute() else Path.home() / ".cache") / "snnrun"
    except RuntimeError:  # no home
        return None
