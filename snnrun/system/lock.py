"""The lock that a run holds while it writes its folder, and its holder. The lock never outlives its process.

On one machine the kernel keeps the lock and releases it when the process ends in any way: a dead run is seen as dead at
once, and a run that is busy for hours, in a first step or an evaluation, as alive. A thread renews the file's time (the
beat) every 5 s; a holder without a beat for 60 s exists but has stopped, or hangs. From another machine, or on a file
system without locks, only the beat is visible: there a dead run looks alive for 60 s, and two runs that take the lock
in the same instant may both get it.
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
PATIENCE = 1.0  # seconds; a check of the lock holds it for microseconds, and must not block a run that starts just then

#: Errors of a file system without locks.
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)
#: Flags to open a file safely: no links, no wait for the other end of a pipe, not inherited by child processes.
SAFELY = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
LARGEST = 4096  # bytes; ours has 100


class Holder(NamedTuple):
    """The holder of a lock, from its file; missing facts are None."""

    pid: int | None
    host: str | None
    started: str | None  # time of taking the lock, ISO 8601
    silent: float  # seconds since the last beat

    def __str__(self) -> str:
        words = [f"process {self.pid}" if self.pid is not None else "another process"]
        words += [f"on {self.host}"] if self.host else []
        words += [f"since {self.started}"] if self.started else []
        return " ".join(words)


class RunLock:
    """Context in which only this process writes ``folder``; the file ``name`` exists meanwhile.

    Not for two threads. Neither a forked child nor a started program holds the lock.

    Args:
        folder: an existing folder.
        name: of the file. By default a run's.
        what: the content of the folder, for the message.

    Raises, on entering: ConfigError if the folder is in use, with the holder, or if the file is not a lock;
        StorageError if the file cannot be written.
    """

    def __init__(self, folder: Path, name: str = NAME, what: str = "run") -> None:
        self.path, self._what = folder / name, what
        self._descriptor: int | None = None
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> RunLock:
        try:
            descriptor = self._take()
        except OSError as error:
            raise _lock_error(self.path, error) from error
        self._descriptor = descriptor
        if hasattr(os, "register_at_fork"):  # a child's copy of the descriptor would keep the lock after this process
            os.register_at_fork(after_in_child=partial(_forget, weakref.ref(self)))
        self._stop.clear()
        self._thread = threading.Thread(target=self._beats, args=(descriptor,), name="snnrun-lock", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is None or self._thread is None:  # in a forked child
            return
        self._stop.set()
        self._thread.join()  # else it might renew the time of the next file with this descriptor
        with suppress(OSError):  # the folder may have been removed, or become read-only
            if os.name == "posix":
                # While the lock is held; another process that has opened the file notices its removal, and tries again.
                self.path.unlink()
        with suppress(OSError):
            os.close(descriptor)
        if os.name != "posix":  # an open file cannot be removed there
            with suppress(OSError):
                self.path.unlink()

    def beat(self) -> None:
        """Renew the file's time; a thread does so every 5 s."""
        if self._descriptor is not None:
            _touch(self.path, self._descriptor)

    def _beats(self, descriptor: int) -> None:
        while not self._stop.wait(BEAT):
            with suppress(OSError):  # a full disk must not end later beats
                _touch(self.path, descriptor)

    def _take(self) -> int:
        deadline = time.monotonic() + PATIENCE
        while True:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | SAFELY, 0o644)
            try:
                _check_ours(self.path, descriptor)
                taken = _is_held(descriptor, exclusive=True)
                if not taken and _same_file(self.path, descriptor):
                    _write(self.path, descriptor)
                    return descriptor
                holder = _read(descriptor) if taken else None
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
    """The process that writes ``folder`` now, or None. Only reads. Fields that the file should not have are ignored."""
    path = folder / name
    try:
        descriptor = os.open(path, os.O_RDONLY | SAFELY)
    except OSError:
        return None
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None
        return _read(descriptor) if _is_held(descriptor, exclusive=False) else None
    except OSError:
        return None
    finally:
        os.close(descriptor)


def _is_held(descriptor: int, *, exclusive: bool) -> bool:
    """True if another process holds the lock; if not, this process does until the descriptor is closed."""
    try:
        if not _lock(descriptor, exclusive=exclusive):
            return True
        kernel = True
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        kernel = False
    owner = _read(descriptor)
    if kernel and owner.host in (None, socket.gethostname()):
        return False
    # A lock of another machine may be invisible here. Its clock may be wrong, but a beat in the far future is invalid.
    return owner.host is not None and abs(owner.silent) < DEAD


if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int, *, exclusive: bool) -> bool:
        # Far behind the content, so that others can read it.
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
    fields = content if isinstance(content, dict) else {}
    pid, host, started = (fields.get(key) for key in ("pid", "host", "started"))
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
    """True if the open file still has that name: its holder may just have removed it."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.lstat(path))
    except FileNotFoundError:
        return False


def _check_ours(path: Path, descriptor: int) -> None:
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
        raise ConfigError(f"{path}: expected a file of this run alone, got a link or no file at all; remove it")


def _lock_error(path: Path, error: OSError) -> ConfigError | StorageError:
    if error.errno in (errno.ELOOP, errno.EISDIR, errno.ENXIO):
        return ConfigError(f"{path}: expected a file, got a link or no file at all; remove it")
    return StorageError(
        f"{path}: writing failed: {error.strerror or error}. Free some space or check the rights, or choose another "
        "output_dir"
    )


def _forget(reference: weakref.ref[RunLock]) -> None:
    """In a forked child: close the copy of the descriptor; the parent keeps the lock."""
    lock = reference()
    if lock is not None and lock._descriptor is not None:
        descriptor, lock._descriptor = lock._descriptor, None
        with suppress(OSError):
            os.close(descriptor)
