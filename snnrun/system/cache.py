"""The folder of this user in which snnrun keeps what it can find out again.

Compiled code lies there, and is run as it lies. So nobody else may be able to write there, nor put another folder in
its place: owner and mode of the folder and of all above it are checked, as ssh does with its keys.
"""

from __future__ import annotations

import atexit
import errno
import functools
import os
import shutil
import stat
import tempfile
from pathlib import Path

MOST_LINKS = 40  # on the way to a file, as Linux has it


def cache_dir() -> Path | None:
    """``$SNNRUN_CACHE_DIR``, else ``$XDG_CACHE_HOME/snnrun``, else ``~/.cache/snnrun``; made if need be.

    Where others can write, a folder that lasts as long as this process. None where nothing can be written: then do
    without.
    """
    folder = _wanted()
    if folder is None:
        return None
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if stranger(folder) is not None:
            return _for_this_process(os.getpid())
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError:
        return None


def fault() -> str | None:
    """Why the user's cache is not used, for people, if others could write there."""
    folder = _wanted()
    try:
        place = None if folder is None else stranger(folder)
    except OSError:
        return None
    if place is None:
        return None
    return (
        f"the cache {folder} is not used, since others than you can write {place}: code is compiled anew each time; "
        "change that folder's owner or mode, or set SNNRUN_CACHE_DIR to a folder of yours"
    )


def stranger(folder: Path) -> Path | None:
    """The first folder on the way to ``folder``, from the top, that another user could change; None if there is none.

    A folder of this user that nobody else may enter protects all below it. In one with the sticky bit, such as /tmp,
    others can write, and cannot touch what is not theirs.

    Raises:
        OSError: if a folder cannot be looked at.
    """
    if not hasattr(os, "getuid"):  # Windows keeps the user's folders apart by other means
        return None
    for link in _links(folder):
        # Whoever may write where a link lies can lead it elsewhere.
        if link.lstat().st_uid not in (0, os.getuid()) or stranger(link.parent) is not None:
            return link.parent
    whole = folder.resolve()
    for place in reversed([whole, *whole.parents]):
        status = place.stat()
        if status.st_uid not in (0, os.getuid()):
            return place
        others = status.st_mode & (stat.S_IWOTH | (0 if _is_own_group(status.st_gid) else stat.S_IWGRP))
        if others and (not status.st_mode & stat.S_ISVTX or place == whole):
            return place
        if status.st_uid == os.getuid() and not status.st_mode & 0o077:
            return None
    return None


def _links(folder: Path) -> list[Path]:
    """The links on the way to ``folder``, from the top; each lies in a folder without links on the way."""
    found: list[Path] = []
    rest, way = list(Path(os.path.abspath(folder)).parts), Path()
    while rest:
        way /= rest.pop(0)
        if way.is_symlink():
            if len(found) == MOST_LINKS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(folder))
            found.append(way)
            rest[:0] = Path(os.path.normpath(way.parent / os.readlink(way))).parts
            way = Path()
    return found


def _wanted() -> Path | None:
    if given := os.environ.get("SNNRUN_CACHE_DIR"):
        return Path(given)
    # The specification of XDG: a path that is not absolute is to be ignored.
    base = Path(os.environ.get("XDG_CACHE_HOME") or "")
    try:
        return (base if base.is_absolute() else Path.home() / ".cache") / "snnrun"
    except RuntimeError:  # no home
        return None


def _is_own_group(number: int) -> bool:
    """Whether a group is one that many systems give to each user alone: of the user's name, without further members."""
    try:
        import grp
        import pwd

        group = grp.getgrgid(number)
        return group.gr_name == pwd.getpwuid(os.getuid()).pw_name and set(group.gr_mem) <= {group.gr_name}
    except (ImportError, KeyError):
        return False


@functools.lru_cache(maxsize=1)
def _for_this_process(process: int) -> Path:
    # By process: a forked child must not remove what its parent uses.
    folder = tempfile.mkdtemp(prefix="snnrun-cache-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)
