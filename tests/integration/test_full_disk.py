"""A full disk: exit code 6, nothing half written under a final name, and the run goes on once there is space."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from snnrun.cli import main
from snnrun.run import checkpoint
from snnrun.run.compare import compare
from support.whole import whole

pytestmark = pytest.mark.skipif(os.name != "posix", reason="how a write fails is the system's own")

WORDS = ["report.summary=false", "report.progress=false", "epochs=2", "batch_size=128", "num_steps=5"]
PLAIN = [*WORDS, "report.figures=false", "checkpoint.every_steps=6", "report.log_every=5"]


class Disk:
    """Files below ``folder`` meet a full disk from the k-th write on; a write is whatever needs space."""

    def __init__(self, folder: Path, full_at: int) -> None:
        self.folder, self.full_at, self.count = str(folder), full_at, 0

    def write(self, path: object) -> None:
        if str(path).startswith(self.folder):
            self.count += 1
            if self.count >= self.full_at:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))


class File:
    """An open file whose writes may fail, half done."""

    def __init__(self, file: Any, path: Path, disk: Disk) -> None:
        self._file, self._path, self._disk = file, path, disk

    def write(self, data: Any) -> int:
        try:
            self._disk.write(self._path)
        except OSError:
            with contextlib.suppress(OSError):
                self._file.write(data[: len(data) // 2])
                self._file.flush()
            raise
        count: int = self._file.write(data)
        return count

    def __enter__(self) -> File:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    """That of ``tmp_path/run``, with space enough until ``full_at`` is set."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SNNRUN_DEBUG", raising=False)
    device = Disk(tmp_path / "run", 10**9)
    real_open, real_file, real_sync = os.open, os.fdopen, os.fsync

    def open_or_fail(path: Any, flags: int, *arguments: Any, dir_fd: int | None = None, **options: Any) -> int:
        where = Path(os.path.abspath(path) if dir_fd is None else os.path.join(name_of(dir_fd), path))
        if flags & os.O_CREAT and str(where).startswith(device.folder) and not where.exists():
            device.write(where)
        return real_open(path, flags, *arguments, dir_fd=dir_fd, **options)

    def file(descriptor: int, mode: str = "r", *arguments: Any, **options: Any) -> Any:
        stream, where = real_file(descriptor, mode, *arguments, **options), Path(name_of(descriptor))
        if mode in ("r", "rb") or not str(where).startswith(device.folder):
            return stream
        return File(stream, where, device)

    def sync(descriptor: int) -> None:
        device.write(name_of(descriptor))
        real_sync(descriptor)

    if not Path("/proc/self/fd").exists():
        pytest.skip("the name of an open file takes Linux")
    monkeypatch.setattr(os, "open", open_or_fail)
    monkeypatch.setattr(os, "fdopen", file)
    monkeypatch.setattr(os, "fsync", sync)
    yield device


def name_of(descriptor: int) -> str:
    """The path of an open file or folder."""
    return os.readlink(f"/proc/self/fd/{descriptor}")


def unbroken(disk: Disk) -> tuple[Path, int]:
    """A run that had space, and how often it wrote."""
    # The first run of a process may have a line more in its log, since it compiles what the others find in the cache.
    assert main([*PLAIN, "hydra.run.dir=warm"]) == 0
    assert main([*PLAIN, "hydra.run.dir=run"]) == 0
    count, disk.count = disk.count, 0
    shutil.move("run", "unbroken")
    return Path("unbroken"), count


def full_at(disk: Disk, k: int, reference: Path, capsys: pytest.CaptureFixture[str]) -> bool:
    """One run with a disk that is full from the k-th write on; returns whether it could be resumed."""
    shutil.rmtree("run", ignore_errors=True)
    disk.count, disk.full_at = 0, k
    code = main([*PLAIN, "hydra.run.dir=run"])
    err = capsys.readouterr().err
    disk.full_at = 10**9
    assert code == 6, (k, err)
    assert "No space left on device" in err and str(Path("run")) in err, (k, err)
    assert len(err.splitlines()) == 1, (k, err)
    run = Path("run").absolute()
    whole(run)
    if not (run / "config.yaml").exists():
        return False
    if (run / "result.json").exists():
        status = json.loads((run / "result.json").read_text())["status"]
        if status == "finished":  # all that failed came after: the folder's entry, or the last line of the log
            assert compare(reference, run, same_seed=True).exact
            return True
        assert status == "failed"
    states = len(checkpoint.states(run / "checkpoints"))
    code = main(["resume", "run"])
    out, err = capsys.readouterr()
    assert (code, err) == (0, ""), (k, err)
    assert ("resumed after 0 steps" in out) == (states == 0), (k, out)
    verdict = compare(reference, run, same_seed=True)
    assert verdict.exact, (k, verdict.words())
    whole(run)
    return True


def test_some_writes_meet_a_full_disk(disk: Disk, capsys: pytest.CaptureFixture[str]) -> None:
    reference, count = unbroken(disk)
    assert count > 30
    capsys.readouterr()
    can_resume = [full_at(disk, k, reference, capsys) for k in (1, 4, count // 2, count - 3)]
    assert can_resume == [False, *can_resume[1:2], True, True]


@pytest.mark.long
def test_every_write_meets_a_full_disk(disk: Disk, capsys: pytest.CaptureFixture[str]) -> None:
    reference, count = unbroken(disk)
    capsys.readouterr()
    can_resume = [full_at(disk, k, reference, capsys) for k in range(1, count + 1)]
    assert can_resume == sorted(can_resume), "once there is a config, the run can always be resumed"
    # Those before config.yaml: four for each file of .hydra/, which Hydra itself wrote uncounted, and for the manifest.
    assert sum(can_resume) > count - 24
