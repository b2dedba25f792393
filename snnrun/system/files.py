"""Atomic writing of files: written beside their place, flushed to disk, then renamed over it.

A folder may come from a stranger, who may have planted links in it, under any name that can be guessed. So a new file
is created exclusively and under a random name, relative to a handle on its folder, which is not a link; and only a
regular file with one name is appended to. On the way to the folder, links of this user and of the system are followed,
but not the links of other users, who could plant one at any time. A folder name from the user is resolved first
(:func:`without_links`).
"""

from __future__ import annotations

import errno
import json
import math
import os
import re
import secrets
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

MOST_LINKS = 40  # on the way to a file, as in Linux
#: Windows cannot open folders; there, names are joined instead.
_HANDLES = os.open in os.supports_dir_fd and os.rename in os.supports_dir_fd and hasattr(os, "O_DIRECTORY")
_SAFELY = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
#: Opening a pipe must not wait for its other end.
_AT_ONCE = getattr(os, "O_NONBLOCK", 0)


def write_bytes(path: Path, data: bytes) -> None:
    """Write ``data`` so that ``path`` never holds a part of it, even after a crash or on a full disk.

    A link at ``path`` is replaced by the file, and its target does not change.

    Raises:
        OSError: if writing fails, or the folder of ``path`` is a link, or lies behind another user's link.
    """
    with _folder(path.parent) as folder:
        temporary = f".{path.name[:100]}.{secrets.token_hex(8)}.tmp"
        where: Any = path.with_name(temporary) if folder is None else temporary
        try:
            descriptor = os.open(where, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _SAFELY, 0o666, dir_fd=folder)
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            if folder is None:
                os.replace(where, path)
            else:
                os.replace(where, path.name, src_dir_fd=folder, dst_dir_fd=folder)
        except BaseException:
            with suppress(OSError):
                os.unlink(where, dir_fd=folder)
            raise
        if folder is not None:  # a rename is only safe on disk after its folder
            os.fsync(folder)


def write_text(path: Path, text: str) -> None:
    """Write ``text`` in UTF-8, atomically; a lone surrogate (``\\ud800``), which UTF-8 lacks, is escaped."""
    write_bytes(path, text.encode(errors="backslashreplace"))


def plain(value: Any) -> Any:
    """``value`` for strict JSON: null for numbers that are not finite, lists for tuples."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as indented strict JSON (no NaN or Infinity), atomically.

    A list of whole numbers is on one line, as in a matrix.
    """
    text = json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False)
    # A text in JSON has no line break, so it cannot look like such a list.
    text = re.sub(r"\[\n\s*(-?\d+(?:,\n\s*-?\d+)*)\n\s*\]", lambda match: f"[{' '.join(match[1].split())}]", text)
    write_text(path, text + "\n")


def open_to_append(path: Path) -> int:
    """A descriptor that appends to ``path``, creating it if needed.

    Raises:
        OSError: if ``path`` or its folder is a link, or ``path`` is a pipe, or has a second name elsewhere.
    """
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | _SAFELY | _AT_ONCE
    with _folder(path.parent) as folder:
        descriptor = os.open(path if folder is None else path.name, flags, 0o666, dir_fd=folder)
    status = os.fstat(descriptor)
    if stat.S_ISREG(status.st_mode) and status.st_nlink == 1:
        return descriptor
    os.close(descriptor)
    raise OSError(errno.ELOOP, "a link, or no file at all", str(path))


def touch(path: Path) -> None:
    """Create an empty file at ``path`` if there is none.

    Raises:
        OSError: if ``path`` or its folder is a link.
    """
    with _folder(path.parent) as folder:
        flags = os.O_RDONLY | os.O_CREAT | _SAFELY | _AT_ONCE
        os.close(os.open(path if folder is None else path.name, flags, 0o666, dir_fd=folder))


def make_folder(path: Path) -> None:
    """Create the folder ``path`` in an existing one, if it is missing.

    Raises:
        OSError: if there is a link or anything else with that name.
    """
    with _folder(path.parent) as folder:
        where: Any = path if folder is None else path.name
        try:
            os.mkdir(where, dir_fd=folder)
        except FileExistsError:
            if not stat.S_ISDIR(os.stat(where, dir_fd=folder, follow_symlinks=False).st_mode):
                raise


def make_folders(root: Path, path: Path) -> None:
    """Create ``path`` and the folders between the existing ``root`` and it; see :func:`make_folder`."""
    for parent in reversed([path, *path.parents]):
        if parent != root and parent.is_relative_to(root):
            make_folder(parent)


@contextmanager
def _folder(path: Path) -> Iterator[int | None]:
    """A handle on a folder that is not a link; None on systems without handles."""
    if not _HANDLES:
        if path.is_symlink():
            raise OSError(errno.ELOOP, "a link, and no folder", str(path))
        yield None
        return
    descriptor = _way(path) if hasattr(os, "O_PATH") else os.open(path, os.O_RDONLY | os.O_DIRECTORY | _SAFELY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _way(path: Path) -> int:
    """A descriptor of the folder ``path``, opened step by step, each in the one before."""
    look = os.O_PATH | _SAFELY
    rest, links = _steps(path), 0
    place = os.open(path.anchor or ".", look | os.O_DIRECTORY)
    try:
        while rest:
            step = os.open(rest.pop(0), look, dir_fd=place)
            status = os.fstat(step)
            if not stat.S_ISLNK(status.st_mode):
                # Replace it before closing: a signal that raises in between must not close a descriptor twice.
                before, place = place, step
                os.close(before)
                continue
            try:
                links += 1
                if not rest or links > MOST_LINKS or status.st_uid not in (0, os.geteuid()):
                    raise OSError(errno.ELOOP, "a link on the way to it", str(path))
                target = Path(os.readlink("", dir_fd=step))  # of the link that was checked, even if it was replaced
            finally:
                os.close(step)
            rest[:0] = _steps(target)
            if target.anchor:
                before, place = place, os.open(target.anchor, look | os.O_DIRECTORY)
                os.close(before)
        return os.open(".", os.O_RDONLY | os.O_DIRECTORY | _SAFELY, dir_fd=place)
    except OSError as error:
        error.filename = error.filename or str(path)
        raise
    finally:
        if place >= 0:
            os.close(place)


def _steps(path: Path) -> list[str]:
    return list(path.parts[1:] if path.anchor else path.parts)


def without_links(path: Path) -> Path:
    """The path of a folder without links: ``path`` itself, if it has none."""
    whole = path.resolve()
    return path if whole == Path(os.path.abspath(path)) else whole


def own_file(path: Path) -> bool:
    """True if ``path`` is a regular file with one name: no link, no pipe, nothing else."""
    try:
        status = path.lstat()
    except OSError:
        return False
    return stat.S_ISREG(status.st_mode) and status.st_nlink == 1
