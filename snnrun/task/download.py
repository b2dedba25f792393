"""Fetch a set through torchvision, which knows where it lies and checks what comes (MD5)."""

from __future__ import annotations

import os
import socket
import tempfile
import zlib
from collections.abc import Sequence
from http.client import HTTPException
from pathlib import Path

# Seconds without an answer after which a download has failed, rather than hang for ever behind a silent firewall.
_PATIENCE = 30.0


def download(source: str, data_dir: Path, names: Sequence[str]) -> str | None:
    """Bring the files ``names`` of a set into ``<data_dir>/<source>/raw``, all of them or none.

    torchvision works in a temporary folder, from which whole, checked files are moved: what a broken download leaves
    is never where data is looked for.

    Args:
        source: name of the class in ``torchvision.datasets``.

    Returns:
        None, or in one line what went wrong.
    """
    from torchvision import datasets  # here, since only a download needs it

    patience = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_PATIENCE)
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".download-", dir=data_dir) as temporary:
            getattr(datasets, source)(temporary, download=True)
            target = data_dir / source / "raw"
            target.mkdir(parents=True, exist_ok=True)
            for name in names:
                os.replace(Path(temporary, source, "raw", name), target / name)
    except (OSError, RuntimeError, EOFError, HTTPException, zlib.error) as error:
        return " ".join(str(error).split()) or type(error).__name__
    finally:
        socket.setdefaulttimeout(patience)
    return None
