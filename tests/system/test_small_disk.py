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
        process = subprocess.run(command, capture_output=True, text=True)
    except OSError as error:
        pytest.skip(f"no mount: {error}")
    if process.returncode:
        pytest.skip(f"a file system of its own needs rights: {process.stderr.strip()}")
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
        outcome = snnrun(*words, f"hydra.run.dir={run}", cwd=tmp_path)
        assert outcome.code == 6, (outcome.out, outcome.err)
        assert "No space left on device" in outcome.err and len(outcome.err.splitlines()) == 1
        whole(run)
        if not (run / "config.yaml").exists():
            return
        process = subprocess.run(["mount", "-o", "remount,size=4M", str(folder)], capture_output=True, text=True)
        assert process.returncode == 0, process.stderr
        outcome = snnrun("resume", str(run), cwd=tmp_path)
        assert (outcome.code, outcome.err) == (0, "")
        whole(run)


def test_a_disk_that_is_full_of_figures(tmp_path: Path) -> None:
    """A figure is not worth a run: a warning."""
    with small_disk(tmp_path / "disk", 420) as folder:
        outcome = snnrun(*WORDS, f"hydra.run.dir={folder / 'run'}", cwd=tmp_path)
        whole(folder / "run")
        assert outcome.code in (0, 6), outcome.err
        assert "could not be made" in outcome.err


def test_a_disk_that_is_read_only(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 1000) as folder:
        process = subprocess.run(["mount", "-o", "remount,ro", str(folder)], capture_output=True, text=True)
        assert process.returncode == 0, process.stderr
        outcome = snnrun(*WORDS, f"output_dir={folder}", cwd=tmp_path)
        assert outcome.code == 2, outcome.err
        assert str(folder) in outcome.err and len(outcome.err.splitlines()) < 5
        assert not outcome.out
