"""The lock of a run's folder: one holder, who is named; gone with its process, however that ends."""

from __future__ import annotations

import errno
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from snnrun.errors import ConfigError, StorageError
from snnrun.system import lock
from snnrun.system.lock import RunLock, holder
from support.refusals import fails

HOLD = """
import sys
from pathlib import Path
from snnrun.system.lock import RunLock
with RunLock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.readline()
assert "torch" not in sys.modules
"""


@contextmanager
def another(folder: Path, script: str = HOLD) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock of ``folder`` until a line comes."""
    with subprocess.Popen(
        [sys.executable, "-c", script, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "PATIENCE", 0.0)


def left_behind(folder: Path, *, host: str, age: float) -> None:
    path = folder / lock.NAME
    path.write_text(json.dumps({"pid": 17, "host": host, "started": "2026-01-01T00:00:00+00:00"}))
    os.utime(path, (time.time() - age,) * 2)


def test_one_holder_who_is_named_and_leaves_nothing(tmp_path: Path) -> None:
    assert holder(tmp_path) is None
    with RunLock(tmp_path):
        process = holder(tmp_path)
        assert process is not None
        assert (process.pid, process.host) == (os.getpid(), socket.gethostname())
        with (
            fails(ConfigError, f"process {os.getpid()} on {socket.gethostname()} since 20"),
            RunLock(tmp_path),
        ):
            pass
        assert holder(tmp_path) is not None, "the refused one took nothing away"
    assert holder(tmp_path) is None
    assert not list(tmp_path.iterdir())


def test_a_lock_can_be_taken_again(tmp_path: Path) -> None:
    run_lock = RunLock(tmp_path)
    for _ in range(2):
        with run_lock:
            assert holder(tmp_path) is not None
        assert holder(tmp_path) is None


def test_the_thread_beats(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "BEAT", 0.001)
    path = tmp_path / lock.NAME
    with RunLock(tmp_path):
        os.utime(path, (0, 0))
        deadline = time.monotonic() + 30
        while path.stat().st_mtime == 0:
            assert time.monotonic() < deadline
        process = holder(tmp_path)
        assert process is not None and process.silent < lock.DEAD


def test_a_beat_renews_the_time(tmp_path: Path) -> None:
    with RunLock(tmp_path) as run_lock:
        os.utime(tmp_path / lock.NAME, (0, 0))
        process = holder(tmp_path)
        assert process is not None and process.silent > lock.DEAD, "it exists, and is known not to beat"
        run_lock.beat()
        process = holder(tmp_path)
        assert process is not None and process.silent < lock.DEAD


def test_what_another_machine_left(tmp_path: Path) -> None:
    left_behind(tmp_path, host="elsewhere", age=1)
    process = holder(tmp_path)
    assert process is not None and (process.pid, process.host) == (17, "elsewhere")
    with fails(ConfigError, "process 17 on elsewhere since 2026"), RunLock(tmp_path):
        pass
    for age in (lock.DEAD + 1, -1e6):  # silent for too long; and a time that no beat can have
        left_behind(tmp_path, host="elsewhere", age=age)
        assert holder(tmp_path) is None
    with RunLock(tmp_path):
        assert holder(tmp_path) is not None


def test_a_file_system_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(descriptor: int, *, exclusive: bool) -> bool:
        raise OSError(errno.ENOLCK, "no locks available")

    monkeypatch.setattr(lock, "_lock", none)
    with RunLock(tmp_path):
        assert holder(tmp_path) is not None
        with fails(ConfigError, "a run that nobody is writing"), RunLock(tmp_path):
            pass
    left_behind(tmp_path, host=socket.gethostname(), age=lock.DEAD + 1)
    assert holder(tmp_path) is None


@pytest.mark.parametrize("content", ["", "[]", "{", '{"pid": "x", "host": 3, "started": []}', "[" * 4000, "\0" * 9999])
def test_a_file_without_useful_content(tmp_path: Path, content: str) -> None:
    (tmp_path / lock.NAME).write_text(content)
    assert holder(tmp_path) is None
    with RunLock(tmp_path):
        (tmp_path / lock.NAME).write_text(content)
        process = holder(tmp_path)
        assert process is not None and process[:3] == (None, None, None)
        assert str(process) == "another process"


@pytest.mark.skipif(os.name != "posix", reason="links and pipes")
@pytest.mark.parametrize("kind", ["link", "hard link", "pipe", "folder"])
def test_what_is_no_file_of_ours(tmp_path: Path, kind: str) -> None:
    path, elsewhere = tmp_path / lock.NAME, tmp_path / "mine"
    elsewhere.write_text("precious")
    if kind == "link":
        path.symlink_to(elsewhere)
    elif kind == "hard link":
        path.hardlink_to(elsewhere)
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.mkdir()
    assert holder(tmp_path) is None
    with fails(ConfigError, "run.lock: ", "a file", "remove it"), RunLock(tmp_path):
        pass
    assert elsewhere.read_text() == "precious"


def test_a_folder_that_is_gone(tmp_path: Path) -> None:
    assert holder(tmp_path / "nowhere") is None
    with fails(StorageError, "No such file"), RunLock(tmp_path / "nowhere"):
        pass


def test_a_disk_that_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "no space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="no space left"), RunLock(tmp_path):
        pass
    assert not list(tmp_path.iterdir())
