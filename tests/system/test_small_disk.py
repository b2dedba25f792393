"""Real file systems that are full or read only: exit code 6, and the run goes on where there is space again."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.forked import snnrun
from support.whole import whole

pytestmark = pytest.mark.skipif(os.name != "posix", reason="how a write fails is the system's own")

WORDS = ["report.summary=false", "report.progress=false", "epochs=2", "batch_size=128", "num_steps=5"]
PLAIN = [*WORDS, "report.figures=false", "checkpoint.every_steps=6", "report.log_every=5"]


@contextlib.contextmanager
def small_disk(folder: Path, kilobytes: int) -> Iterator[Path]:
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except OSError as error:
        pytest.skip(f"no mount: {error}")
    if done.returncode:
        pytest.skip(f"a file system of its own needs rights: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.parametrize("kilobytes", [16, 24, 40, 100, 200, 350, 420])
def test_a_small_disk(kilobytes: int, tmp_path: Path) -> None:
    """From nothing but Hydra's files to all but the figures; states are 115 kB, weights 30 kB."""
    words = [*WORDS, "report.figures=false", "checkpoint.every_steps=6"]
    with small_disk(tmp_path / "disk", kilobytes) as folder:
        run = folder / "run"
        ended = snnrun(*words, f"hydra.run.dir={run}", cwd=tmp_path)
        assert ended.code == 6, (ended.out, ended.err)
        assert "No space left on device" in ended.err and len(ended.err.splitlines()) == 1
        whole(run)
        if not (run / "config.yaml").exists():
            return
        done = subprocess.run(["mount", "-o", "remount,size=4M", str(folder)], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        ended = snnrun("resume", str(run), cwd=tmp_path)
        assert (ended.code, ended.err) == (0, "")
        whole(run)


def test_a_disk_that_is_full_of_figures(tmp_path: Path) -> None:
    """A figure is not worth a run: a warning."""
    with small_disk(tmp_path / "disk", 420) as folder:
        ended = snnrun(*WORDS, f"hydra.run.dir={folder / 'run'}", cwd=tmp_path)
        whole(folder / "run")
        assert ended.code in (0, 6), ended.err
        assert "could not be made" in ended.err


def test_a_disk_that_is_read_only(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 1000) as folder:
        done = subprocess.run(["mount", "-o", "remount,ro", str(folder)], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        ended = snnrun(*WORDS, f"output_dir={folder}", cwd=tmp_path)
        assert ended.code == 2, ended.err
        assert str(folder) in ended.err and len(ended.err.splitlines()) < 5
        assert not ended.out
