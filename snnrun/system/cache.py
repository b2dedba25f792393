"""The user's cache folder of snnrun.

It holds compiled code that is run without a check. So nobody else may be able to write there, or replace the folder:
owner and mode of the folder and of all above it are checked, as ssh does with its keys.
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

MOST_LINKS = 40  # on the way to a file, as in Linux


def cache_dir() -> Path | None:
    """``$SNNRUN_CACHE_DIR``, else ``$XDG_CACHE_HOME/snnrun``, else ``~/.cache/snnrun``; created if needed.

    If others can write there, a folder that lasts as long as this process. None if nothing can be written.
    """
    folder = _configured_folder()
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
    """The reason, as text, why the user's cache is not used: others could write there. Else None."""
    folder = _configured_folder()
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
    """The first folder on the way to ``folder``, from the top, that another user could change, or None.

    A folder of this user that nobody else may enter protects all below it. In one with the sticky bit, such as /tmp,
    others can write, but cannot change files of this user.

    Raises:
        OSError: if a folder cannot be examined.
    """
    if not hasattr(os, "getuid"):  # Windows protects the user's folders by other means
        return None
    for link in _links(folder):
        # A user who may write in the folder of a link can redirect it.
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
    links: list[Path] = []
    rest, way = list(Path(os.path.abspath(folder)).parts), Path()
    while rest:
        way /= rest.pop(0)
        if way.is_symlink():
            if len(links) == MOST_LINKS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(folder))
            links.append(way)
            rest[:0] = Path(os.path.normpath(way.parent / os.readlink(way))).parts
            way = Path()
    return links


def _configured_folder() -> Path | None:
    if path := os.environ.get("SNNRUN_CACHE_DIR"):
        return Path(path)
    # XDG: a path that is not absolute must be ignored.
    base = Path(os.environ.get("XDG_CACHE_HOME") or "")
    try:
        return (base if base.is_absolute() else Path.home() / ".cache") / "snnrun"
    except RuntimeError:  # no home
        return None


def _is_own_group(number: int) -> bool:
    """True for a user's private group, as many systems create it: with the user's name, without other members."""
    try:
        import grp
        import pwd

        group = grp.getgrgid(number)
        return group.gr_name == pwd.getpwuid(os.getuid()).pw_name and set(group.gr_mem) <= {group.gr_name}
    except (ImportError, KeyError):
        return False


@functools.lru_cache(maxsize=1)
def _for_this_process(process: int) -> Path:
    # By process: a forked child must not remove its parent's folder.
    folder = tempfile.mkdtemp(prefix="snnrun-cache-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)
