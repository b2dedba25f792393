"""Downloads the archives of an event set through tonic, which has their addresses and checksums (MD5)."""

from __future__ import annotations

import os
import socket
import sys
import tempfile
from collections.abc import Sequence
from contextlib import redirect_stdout
from http.client import HTTPException
from pathlib import Path

from snnrun.task.new_folder import new_folder

# Seconds without an answer after which a download fails, since a firewall may drop packets silently.
_PATIENCE = 30.0


def download_events(source: str, data_dir: Path, parts: Sequence[str]) -> str | None:
    """Download the archives of ``source`` into ``<data_dir>/<source>``, tonic's folder; they stay packed.

    tonic works in a temporary folder, from which checked files are moved, so that a broken download never looks like
    data. Complete files stay for the next attempt.

    Args:
        source: name of the class in ``tonic.datasets``.
        parts: prefixes of the class's attributes, such as ``train``; an empty one for a single archive.

    Returns:
        None, or the fault in one line.
    """
    try:
        # tonic takes seconds and half a gigabyte to import, and only a download needs it.
        from tonic import datasets
        from tonic.download_utils import download_url
    except ImportError as error:
        return f"tonic cannot be imported ({error}); install it with: pip install 'snnrun[events]'"

    dataset = getattr(datasets, source)
    patience = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_PATIENCE)
    target = data_dir / source
    try:
        with new_folder(target):
            for part in parts:
                name, url, md5 = _archive(dataset, part)
                if (target / name).is_file():
                    continue
                with tempfile.TemporaryDirectory(prefix=".download-", dir=data_dir) as temporary:
                    with redirect_stdout(sys.stderr):
                        download_url(url, temporary, name, md5)
                    os.replace(Path(temporary, name), target / name)
    except (
        OSError,
        RuntimeError,
        EOFError,
        HTTPException,
    ) as error:
        return " ".join(str(error).split()) or type(error).__name__
    finally:
        socket.setdefaulttimeout(patience)
    return None


def _archive(dataset: type, part: str) -> tuple[str, str, str]:
    """Name, address and MD5 of an archive, from any of tonic's notations."""
    known = vars(dataset)
    if not part:
        return known["filename"], known["url"], known["file_md5"]
    if f"{part}_zip" in known:
        name = known[f"{part}_zip"]
        return name, dataset.base_url + name, known[f"{part}_md5"]  # type: ignore[attr-defined]
    return known[f"{part}_filename"], known[f"{part}_url"], known[f"{part}_md5"]
