"""The lock that a run holds while it writes its folder, and who holds it; it never outlives its process.

What is promised. On one machine the kernel keeps the lock and drops it with the process, however that ends: a dead run
is seen as dead at once, and a run that is busy for hours, in a first step or an evaluation, as alive. A thread renews
the file's time (the beat) every 5 s; a holder without a beat for 60 s exists but has stopped, or hangs. From another
machine, or on a file system without locks, the beat is all that can be seen: there a dead run looks alive for 60 s, and
two that take the lock in the same instant may both get it.
"""

from __future__ import annotations

import errno
import json
import os
import socket
import stat
import sys
import threading
import time
import weakref
from contextlib import suppress
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from snnrun.errors import ConfigError, StorageError

NAME = "run.lock"
BEAT = 5.0  # seconds between two beats
DEAD = 60.0  # seconds without a beat, after which a holder on another machine counts as dead
PATIENCE = 1.0  # seconds; a look at the lock takes it for microseconds, and must not refuse a run that starts just then

#: What says that the file system knows no locks.
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)
#: A file without side effects: no link to elsewhere, no wait for the other end of a pipe, not for child processes.
SAFELY = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
LARGEST = 4096  # bytes; ours has 100


class Holder(NamedTuple):
    """Who holds a lock, as its file says; what the file does not say is None."""

    pid: int | None
    host: str | None
    started: str | None  # when it took the lock, as ISO 8601
    silent: float  # seconds since the last beat

    def __str__(self) -> str:
        words = [f"process {self.pid}" if self.pid is not None else "another process"]
        words += [f"on {self.host}"] if self.host else []
        words += [f"since {self.started}"] if self.started else []
        return " ".join(words)


class RunLock:
    """Context in which this process alone writes ``folder``; the file ``name`` is there meanwhile.

    Not for two threads. A forked child does not hold it, and neither does a program that is started.

    Args:
        folder: exists.
        name: of the file. By default that of a run.
        what: the folder holds, for the message.

    Raises, on entering: ConfigError if the folder is in use, with who uses it, or if that file is none of ours;
        StorageError if the file cannot be written.
    """

    def __init__(self, folder: Path, name: str = NAME, what: str = "run") -> None:
        self.path, self._what = folder / name, what
        self._descriptor: int | None = None
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> RunLock:
        try:
            descriptor = self._taken()
        except OSError as error:
            raise _unusable(self.path, error) from error
        self._descriptor = descriptor
        if hasattr(os, "register_at_fork"):  # a child's copy of the descriptor would keep the lock after our death
            os.register_at_fork(after_in_child=partial(_forget, weakref.ref(self)))
        self._ended.clear()
        self._thread = threading.Thread(target=self._beats, args=(descriptor,), name="snnrun-lock", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is None or self._thread is None:  # in a forked child
            return
        self._ended.set()
        self._thread.join()  # else it might renew the time of whatever file gets the descriptor next
        with suppress(OSError):  # a folder that was removed, or became read-only, needs no more of us
            if os.name == "posix":
                # While it is held, so that it is ours; whoever has opened it meanwhile finds it gone, and tries again.
                self.path.unlink()
        with suppress(OSError):
            os.close(descriptor)
        if os.name != "posix":  # where an open file cannot be removed
            with suppress(OSError):
                self.path.unlink()

    def beat(self) -> None:
        """Renew the file's time; done every 5 s by a thread of its own."""
        if self._descriptor is not None:
            _touch(self.path, self._descriptor)

    def _beats(self, descriptor: int) -> None:
        while not self._ended.wait(BEAT):
            with suppress(OSError):  # a full disk must not end the beats that follow
                _touch(self.path, descriptor)

    def _taken(self) -> int:
        deadline = time.monotonic() + PATIENCE
        while True:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | SAFELY, 0o644)
            try:
                _check_ours(self.path, descriptor)
                held = _held(descriptor, exclusive=True)
                if not held and _same_file(self.path, descriptor):
                    _write(self.path, descriptor)
                    return descriptor
                holder = _read(descriptor) if held else None
            except BaseException:
                os.close(descriptor)
                raise
            os.close(descriptor)
            if holder is not None and time.monotonic() > deadline:
                raise ConfigError(
                    f"{self.path.parent}: expected a {self._what} that nobody is writing, but {holder} is; "
                    "wait for it, or end it"
                )
            time.sleep(0.01)


def holder(folder: Path, name: str = NAME) -> Holder | None:
    """Who writes ``folder`` now; None if nobody does. Reads only, and believes nothing that the file says too much."""
    path = folder / name
    try:
        descriptor = os.open(path, os.O_RDONLY | SAFELY)
    except OSError:
        return None
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None
        return _read(descriptor) if _held(descriptor, exclusive=False) else None
    except OSError:
        return None
    finally:
        os.close(descriptor)


def _held(descriptor: int, *, exclusive: bool) -> bool:
    """Whether somebody else holds the lock; if not, it is ours until the descriptor is closed."""
    try:
        if not _lock(descriptor, exclusive=exclusive):
            return True
        kernel = True
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        kernel = False
    found = _read(descriptor)
    if kernel and found.host in (None, socket.gethostname()):
        return False
    # Another machine's lock may not be seen here; and its clock may be wrong, but a beat of the far future is none.
    return found.host is not None and abs(found.silent) < DEAD


if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int, *, exclusive: bool) -> bool:
        # Far behind the content, which stays readable for others.
        os.lseek(descriptor, 1 << 30, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except PermissionError:
            return False
        return True

else:
    import fcntl

    def _lock(descriptor: int, *, exclusive: bool) -> bool:
        try:
            fcntl.flock(descriptor, (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def _read(descriptor: int) -> Holder:
    silent = time.time() - os.fstat(descriptor).st_mtime
    os.lseek(descriptor, 0, os.SEEK_SET)
    try:
        content: Any = json.loads(os.read(descriptor, LARGEST))
    except (ValueError, RecursionError):
        content = None
    said = content if isinstance(content, dict) else {}
    pid, host, started = (said.get(key) for key in ("pid", "host", "started"))
    return Holder(
        pid if isinstance(pid, int) and not isinstance(pid, bool) and 0 < pid < 2**32 else None,
        host if isinstance(host, str) and 0 < len(host) < 256 and host.isprintable() else None,
        started if isinstance(started, str) and len(started) < 40 and started.isprintable() else None,
        silent,
    )


def _write(path: Path, descriptor: int) -> None:
    started = datetime.now(timezone.utc).isoformat(timespec="seconds")
    content = json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "started": started}).encode() + b"\n"
    try:
        os.ftruncate(descriptor, 0)
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.write(descriptor, content)
        os.fsync(descriptor)
    except OSError:  # a full disk
        path.unlink(missing_ok=True)
        raise


def _touch(path: Path, descriptor: int) -> None:
    os.utime(descriptor if os.utime in os.supports_fd else path)


def _same_file(path: Path, descriptor: int) -> bool:
    """Whether the file that was opened is still the one of that name: its holder may just have removed it."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.lstat(path))
    except FileNotFoundError:
        return False


def _check_ours(path: Path, descriptor: int) -> None:
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
        raise ConfigError(f"{path}: expected a file of this run alone, got a link or no file at all; remove it")


def _unusable(path: Path, error: OSError) -> ConfigError | StorageError:
    if error.errno in (errno.ELOOP, errno.EISDIR, errno.ENXIO):
        return ConfigError(f"{path}: expected a file, got a link or no file at all; remove it")
    return StorageError(
        f"{path}: writing failed: {error.strerror or error}. Free some space or check the rights, or choose another "
        "output_dir"
    )


def _forget(reference: weakref.ref[RunLock]) -> None:
    """In a forked child: close the copy of the descriptor, which leaves the lock with the parent."""
    lock = reference()
    if lock is not None and lock._descriptor is not None:
        descriptor, lock._descriptor = lock._descriptor, None
        with suppress(OSError):
            os.close(descriptor)
