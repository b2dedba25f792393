"""Folders of sweeps as they are found, and which of them a word means."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from itertools import islice
from pathlib import Path

from snnrun.errors import ConfigError, NoSuchRun
from snnrun.run import browse

PICTURES = "multirun.yaml"  # left by a sweep of pictures, and by sweeps of earlier versions


def is_sweep(folder: Path) -> bool:
    """Whether there are jobs of a sweep in the folder, or a list of them."""
    if browse.is_run(folder):
        return False
    with suppress(OSError):
        return _is_file(folder / browse.SWEEP) or any(browse.is_run(child) for child in _children(folder))
    return False


def named(word: str, root: Path = Path("outputs")) -> Path:
    """The folder of a sweep or a run that ``word`` means: its path, its name, or a part of its path in ``root``.

    The end of a sweep's name counts before that of a run.

    Raises:
        ConfigError: if none is meant, or several are.
    """
    with suppress(ValueError, OSError):  # a NUL; a name that is too long
        path = Path(word).expanduser()
        if word and path.is_dir() and not browse.is_run(path):
            inside = {path} if is_sweep(path) else set(islice((p for p in _parents(path) if is_sweep(p)), 2))
            if len(inside) == 1:
                return inside.pop()
    if found := browse.find_named(word, root):
        return found
    asked = word.replace(os.sep, "/").strip("/")
    known = {
        parent.relative_to(root).as_posix(): parent
        for parent in (_parents(root) if asked else ())
        if parent != root and is_listed(parent)
    }
    ends = [folder for name, folder in known.items() if f"/{name}".endswith((f"/{asked}", f"-{asked}"))]
    if len(ends) == 1:
        return ends[0]
    try:
        return browse.resolve(word, root)
    except ConfigError as error:
        parts = [folder for name, folder in known.items() if asked in name]
        if len(parts) == 1:
            return parts[0]
        if isinstance(error, NoSuchRun):
            raise NoSuchRun(error.word, error.root, kind="a sweep or a run", none="none") from None
        raise


def is_listed(folder: Path) -> bool:
    """Whether a sweep has left its own file in the folder, beside those of its jobs."""
    return _is_file(folder / browse.SWEEP) or _is_file(folder / PICTURES)


def _parents(root: Path) -> list[Path]:
    return list(dict.fromkeys(folder.parent for folder in browse.find(root)))


def _children(folder: Path) -> Iterable[Path]:
    with os.scandir(folder) as entries:
        found = [e.name for e in entries if not e.name.startswith(".") and e.is_dir(follow_symlinks=False)]
    return [folder / name for name in sorted(found)]


def _is_file(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()
