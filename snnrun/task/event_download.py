"""Fetch the archives of an event set through tonic, which knows where they lie and what they must be (MD5)."""

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

# Seconds without an answer after which a download has failed, rather than hang for ever behind a silent firewall.
_PATIENCE = 30.0


def download_events(source: str, data_dir: Path, parts: Sequence[str]) -> str | None:
    """Bring the archives of ``source`` into ``<data_dir>/<source>``, where tonic keeps them; they stay packed.

    tonic works in a temporary folder, from which checked files are moved: what a broken download leaves is never where
    data is looked for. What is whole is kept, so that the next attempt goes on from there.

    Args:
        source: name of the class in ``tonic.datasets``.
        parts: prefixes of the class's attributes, such as ``train``; an empty one where there is one archive.

    Returns:
        None, or in one line what went wrong.
    """
    try:
        # tonic takes seconds and half a gigabyte to import, and is needed for a download only.
        from tonic import datasets
        from tonic.download_utils import download_url
    except ImportError as error:
        return f"tonic cannot be imported ({error}); install it with: pip install 'snnrun[events]'"

    described = getattr(datasets, source)
    patience = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_PATIENCE)
    target = data_dir / source
    try:
        with new_folder(target):
            for part in parts:
                name, url, md5 = _archive(described, part)
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


def _archive(described: type, part: str) -> tuple[str, str, str]:
    """Name, address and MD5 of an archive, in each of the ways in which tonic writes them down."""
    known = vars(described)
    if not part:
        return known["filename"], known["url"], known["file_md5"]
    if f"{part}_zip" in known:
        name = known[f"{part}_zip"]
        return name, described.base_url + name, known[f"{part}_md5"]  # type: ignore[attr-defined]
    return known[f"{part}_filename"], known[f"{part}_url"], known[f"{part}_md5"]
