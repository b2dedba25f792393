"""Finds the folders of sweeps, and the folder that a user's word names."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from itertools import islice
from pathlib import Path

from snnrun.errors import ConfigError, NoSuchRun
from snnrun.run import browse

PICTURES = "multirun.yaml"  # of a sweep of pictures, and of sweeps of earlier versions


def is_sweep(folder: Path) -> bool:
    """True if the folder has jobs of a sweep, or a list of them."""
    if browse.is_run(folder):
        return False
    with suppress(OSError):
        return _is_file(folder / browse.SWEEP) or any(browse.is_run(child) for child in _children(folder))
    return False


def find(word: str, root: Path = Path("outputs")) -> Path:
    """The folder of a sweep or a run by its path, its name, or a part of its path in ``root``.

    The end of a sweep's name takes precedence over the end of a run's name.

    Raises:
        ConfigError: if no folder matches, or several do.
    """
    with suppress(ValueError, OSError):  # a NUL; a name that is too long
        path = Path(word).expanduser()
        if word and path.is_dir() and not browse.is_run(path):
            inside = {path} if is_sweep(path) else set(islice((p for p in _parents(path) if is_sweep(p)), 2))
            if len(inside) == 1:
                return inside.pop()
    if match := browse.find_named(word, root):
        return match
    piece = word.replace(os.sep, "/").strip("/")
    sweeps = {
        parent.relative_to(root).as_posix(): parent
        for parent in (_parents(root) if piece else ())
        if parent != root and has_job_list(parent)
    }
    ends = [folder for name, folder in sweeps.items() if f"/{name}".endswith((f"/{piece}", f"-{piece}"))]
    if len(ends) == 1:
        return ends[0]
    try:
        return browse.resolve(word, root)
    except ConfigError as error:
        parts = [folder for name, folder in sweeps.items() if piece in name]
        if len(parts) == 1:
            return parts[0]
        if isinstance(error, NoSuchRun):
            raise NoSuchRun(error.word, error.root, kind="a sweep or a run", none="none") from None
        raise


def has_job_list(folder: Path) -> bool:
    """True if the folder has a file of the sweep itself, besides its jobs' files."""
    return _is_file(folder / browse.SWEEP) or _is_file(folder / PICTURES)


def _parents(root: Path) -> list[Path]:
    return list(dict.fromkeys(folder.parent for folder in browse.find(root)))


def _children(folder: Path) -> Iterable[Path]:
    with os.scandir(folder) as entries:
        names = [e.name for e in entries if not e.name.startswith(".") and e.is_dir(follow_symlinks=False)]
    return [folder / name for name in sorted(names)]


def _is_file(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()
